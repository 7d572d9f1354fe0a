from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.certificates import Authority
from fakes.debian import docker_registry

from modelpack.server.registry import RegistrySettings, running

Tool = Callable[..., str]
_PATH = os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / "go" / "bin")))
"""Where clients are looked for; read before a test has another home."""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `host:port` of a docker-registry."""
    with docker_registry(tmp_path_factory.mktemp("debian") / "registry") as host:
        yield host


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[str]:
    """The `host:port` of our own registry."""
    pytest.importorskip("uvicorn", reason="the registry extra is not installed")
    with running(RegistrySettings(root=tmp_path / "embedded", listen="127.0.0.1:0")) as base:
        yield base.removeprefix("http://")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with certificates."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def repo(registry: str, request: pytest.FixtureRequest) -> str:
    """A repository of its own for each test."""
    return f"{registry}/interop/{request.node.name.replace('_', '-')}"


def _tool(name: str) -> Tool:
    program = shutil.which(name, path=_PATH)
    if program is None:
        pytest.skip(f"{name} is not installed")

    def run(*words: object, cwd: Path) -> str:
        done = subprocess.run(
            [program, *map(str, words)],
            cwd=cwd, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def modelpack(tmp_path: Path) -> Tool:
    """Run our own command in a folder; a standard input is given by name."""

    def run(*words: object, cwd: Path, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", *map(str, words)],
            cwd=cwd, capture_output=True, text=True, timeout=100, check=False, input=stdin,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def oras() -> Tool:
    """Run oras in a folder."""
    return _tool("oras")


@pytest.fixture
def skopeo() -> Tool:
    """Run skopeo in a folder."""
    return _tool("skopeo")
