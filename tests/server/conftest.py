"""A running registry, and a client that knows only requests and the distribution specification."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from modelpack.server.registry import RegistrySettings, running

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Client:
    """Requests against one registry."""

    def __init__(self, base: str, session: requests.Session) -> None:
        self.base = base
        self.session = session

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.base.split("://")[1].rsplit(":", 1)
        return host, int(port)

    def ask(self, method: str, path: str, **options: object) -> requests.Response:
        url = path if path.startswith("http") else f"{self.base}{path}"
        return self.session.request(method, url, timeout=30, **options)

    def begin(self, name: str = "demo/a") -> str:
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status_code == 202
        return answer.headers["Location"]

    def push(self, data: bytes, name: str = "demo/a", algorithm: str = "sha256") -> str:
        digest = digest_of(data, algorithm)
        answer = self.ask("PUT", f"{self.begin(name)}?digest={digest}", data=data)
        assert answer.status_code == 201, answer.text
        return digest

    def manifest(self, name: str = "demo/a", **members: object) -> bytes:
        """Push a config blob and return a manifest that refers to it."""
        config = self.push(b"{}", name)
        value = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/x.config", "digest": config, "size": 2},
            "layers": [],
            **members,
        }
        return json.dumps(value).encode()

    def put_manifest(
        self, raw: bytes, reference: str, name: str = "demo/a", media_type: str = OCI_MANIFEST
    ) -> requests.Response:
        headers = {"Content-Type": media_type}
        return self.ask("PUT", f"/v2/{name}/manifests/{reference}", data=raw, headers=headers)

    def send_raw(self, head: str) -> bytes:
        """Send *head* as it is, and return what comes back until the server closes."""
        with socket.create_connection(self.address, timeout=30) as sock:
            sock.sendall(head.encode())
            received = b""
            while block := sock.recv(65536):
                received += block
            return received


def code_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def client(root: Path, session: requests.Session) -> Iterator[Client]:
    with running(RegistrySettings(root=root, listen="127.0.0.1:0")) as base:
        yield Client(base, session)
        session.close()
