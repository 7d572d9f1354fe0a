from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.certificates import Authority
from fakes.debian import docker_registry
from fakes.models import context_at, serve_model
from fakes.registry import FakeRegistry

from modelpack.ops.context import Context
from modelpack.server.registry import RegistrySettings, running


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def here(tmp_path: Path) -> Context:
    """A store to build in and push from."""
    return context_at(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Context:
    """Another, empty store to pull into."""
    return context_at(tmp_path / "there")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with certificates."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[FakeRegistry]:
    """A registry that speaks TLS, with a model in it."""
    registry = FakeRegistry()
    authority.secure(registry)
    with registry:
        serve_model(registry)
        yield registry


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `host:port` of a docker-registry that everybody may use."""
    with docker_registry(tmp_path_factory.mktemp("debian") / "registry") as host:
        yield host


@pytest.fixture(params=["embedded", pytest.param("debian", marks=pytest.mark.registry)])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The `host:port` of a real registry: ours, then Debian's."""
    if request.param == "debian":
        yield request.getfixturevalue("debian")
        return
    pytest.importorskip("uvicorn", reason="the registry extra is not installed")
    with running(RegistrySettings(root=tmp_path / "embedded", listen="127.0.0.1:0")) as base:
        yield base.removeprefix("http://")
