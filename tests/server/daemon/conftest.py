"""A running server over a store with the example model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Served, serving, tiny_store


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose store no test changes."""
    with serving(tiny_store(tmp_path_factory.mktemp("served"))) as served:
        yield served


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A server of the test's own."""
    with serving(tiny_store(tmp_path)) as served:
        yield served
