"""Authorities and certificates by openssl, and servers that use them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from fakes.web import FakeServer

_NEW = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Certificates in *folder*: `NAME.pem` with `NAME.key`; `ca.pem` signs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ca", "other"):
            self._openssl(
                *_NEW, "-x509", "-days", "2", "-subj", f"/CN=Test {name}", "-out", f"{name}.pem",
                "-keyout", f"{name}.key", "-addext", "keyUsage=critical,keyCertSign",
            )  # fmt: skip
        self.issue("server", "IP:127.0.0.1,DNS:registry.example,DNS:localhost")
        self.issue("stranger", "DNS:other.example")
        self.issue("expired", "IP:127.0.0.1", days=-1)
        self.issue("client", "email:ann@example.com")
        self.issue("visitor", "email:ben@example.com", by="other")

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def issue(self, name: str, names: str, *, by: str = "ca", days: int = 2) -> None:
        """Make a certificate for *names*, signed *by* an authority."""
        (self.folder / "extensions").write_text(
            f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n"
        )
        self._openssl(
            *_NEW, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request.pem"
        )
        self._openssl(
            "x509", "-req", "-days", str(days), "-in", "request.pem", "-CA", f"{by}.pem",
            "-CAkey", f"{by}.key", "-CAcreateserial", "-extfile", "extensions",
            "-out", f"{name}.pem",
        )  # fmt: skip

    def encrypted(self, name: str) -> Path:
        """Return the key *name* behind a password."""
        path = self.folder / f"{name}.secret.key"
        self._openssl(
            "pkey", "-in", f"{name}.key", "-aes256", "-passout", "pass:x", "-out", path.name
        )
        return path

    def secure(self, server: FakeServer, name: str = "server", *, clients: str = "") -> None:
        """Let *server*, not begun yet, speak TLS as *name*; *clients* must show a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self / f"{name}.pem", self / f"{name}.key")
        if clients:
            context.load_verify_locations(self / "ca.pem")
            wish = {"must": ssl.CERT_REQUIRED, "may": ssl.CERT_OPTIONAL}
            context.verify_mode = wish[clients]
        server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
        server.url = f"https://{server.host}"

    def _openssl(self, *words: str) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("openssl is not installed")
        subprocess.run([openssl, *words], cwd=self.folder, check=True, capture_output=True)


def certs_d(home: Path, host: str, **files: Path) -> Path:
    """Copy *files* into docker's folder for *host*; the `_` in a name is its dot."""
    folder = home / ".config" / "docker" / "certs.d" / host
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        shutil.copy(source, folder / name.replace("_", "."))
    return folder
