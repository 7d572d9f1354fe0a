from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.models import WEIGHTS, serve_model
from fakes.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that has the model `team/tiny:v1`, with weights that are many bytes."""
    with FakeRegistry() as registry:
        serve_model(registry, weights=WEIGHTS)
        yield registry
