"""The registries that clients are measured against, each a process with a folder of its own."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _background import background, free_port
from _model import MANIFEST_TYPE, NAME, TAG, Model

DEBIAN, OURS, CURRENT = "docker-registry", "modelpack", "distribution-3"
PROGRAM = str(Path(sys.executable).with_name("modelpack"))

_CONFIGURATION = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


def available() -> list[str]:
    """Return the names of the registries that are installed."""
    found = [DEBIAN] if shutil.which("docker-registry") else []
    found.append(OURS)
    if shutil.which("registry"):
        said = subprocess.run(["registry", "--version"], capture_output=True, check=False)
        if b"v3" in said.stdout + said.stderr:
            found.append(CURRENT)
    return found


@contextmanager
def serving(kind: str, root: Path) -> Iterator[str]:
    """Run a registry of *kind* over the new folder *root*; gives its `host:port`."""
    port = free_port()
    host = f"127.0.0.1:{port}"
    root.mkdir()
    log = root.with_suffix(".log")
    if kind == OURS:
        command = [PROGRAM, "registry", "serve", "--root", str(root), "--listen", host]
    else:
        settings = root.with_suffix(".yml")
        settings.write_text(_CONFIGURATION.format(root=root, port=port))
        program = "docker-registry" if kind == DEBIAN else "registry"
        command = [program, "serve", str(settings)]
    with background(command, port, log, {"OTEL_TRACES_EXPORTER": "none"}):
        yield host


def fill(host: str, model: Model) -> None:
    """Put *model* into the registry at *host*, one blob after the other."""
    connection = http.client.HTTPConnection(host, timeout=600)
    for blob in model.blobs:
        location = _ask(connection, "POST", f"/v2/{NAME}/blobs/uploads/", 202)
        target = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
        with blob.path.open("rb") as body:
            connection.request("PUT", target, body, {"Content-Length": str(blob.size)})
            _answer(connection, 201)
    target = f"/v2/{NAME}/manifests/{TAG}"
    raw = model.manifest.path.read_bytes()
    connection.request("PUT", target, raw, {"Content-Type": MANIFEST_TYPE})
    _answer(connection, 201)
    connection.close()


def check(host: str, model: Model) -> None:
    """Fail unless the registry at *host* has all of *model*."""
    connection = http.client.HTTPConnection(host, timeout=60)
    for blob in model.blobs:
        _ask(connection, "HEAD", f"/v2/{NAME}/blobs/{blob.digest}", 200)
    connection.request("GET", f"/v2/{NAME}/manifests/{TAG}", headers={"Accept": MANIFEST_TYPE})
    answer = connection.getresponse()
    if answer.status != 200 or answer.read() != model.manifest.path.read_bytes():
        sys.exit(f"the registry has another manifest ({answer.status})")
    connection.close()


def _ask(connection: http.client.HTTPConnection, method: str, path: str, expected: int) -> str:
    connection.request(method, path, headers={"Content-Length": "0"} if method == "POST" else {})
    return _answer(connection, expected)


def _answer(connection: http.client.HTTPConnection, expected: int) -> str:
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != expected:
        sys.exit(f"the registry answers {answer.status}, not {expected}: {said[:500]!r}")
    return answer.headers.get("Location", "")
