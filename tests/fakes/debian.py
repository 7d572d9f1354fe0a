"""Debian's docker-registry as a process on a free port that ends for certain."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def docker_registry(
    folder: Path, htpasswd: Path | None = None, certificate: Path | None = None
) -> Iterator[str]:
    """Run docker-registry over *folder* and yield its `host:port`; skip where it is absent.

    With a *certificate*, beside which lies its key, it speaks TLS.
    """
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{sock.getsockname()[1]}"
    config = (
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}\n"
    )
    tls = ""
    if certificate is not None:
        tls = f", tls: {{certificate: {certificate}, key: {certificate.with_suffix('.key')}}}"
    config += f"http: {{addr: {host}{tls}}}\n"
    if htpasswd is not None:
        config += f"auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yml"
    path.write_text(config)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(path)], stdout=log, stderr=log)
        try:
            _wait(process, f"{'https' if tls else 'http'}://{host}/v2/")
            yield host
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"docker-registry ended with {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1, context=anybody).close()
        except urllib.error.HTTPError as answered:
            answered.close()
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("docker-registry does not answer")
