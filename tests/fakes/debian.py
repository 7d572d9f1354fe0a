"""Debian's docker-registry as a process on a free port that ends for certain."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def docker_registry(folder: Path, htpasswd: Path | None = None) -> Iterator[str]:
    """Run docker-registry over *folder* and yield its `host:port`; skip where it is absent."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{sock.getsockname()[1]}"
    config = (
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: {host}}}\n"
    )
    if htpasswd is not None:
        config += f"auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yml"
    path.write_text(config)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(path)], stdout=log, stderr=log)
        try:
            _wait(process, host)
            yield host
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], host: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"docker-registry ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=1).close()
        except urllib.error.HTTPError as answered:
            answered.close()
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("docker-registry does not answer")
