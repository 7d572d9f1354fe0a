"""What goes into a pool and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.errors import ModelPackError

if TYPE_CHECKING:
    from modelpack.runtime.model import ModelFiles
    from modelpack.server.daemon.pool.worker import AsyncWorker


class BusyError(ModelPackError):
    """There are as many requests waiting as may wait."""


class StoppingError(ModelPackError):
    """The server is about to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of everything a pool has."""

    runners: int = 3
    """Models that are loaded at the same time."""
    places: int = 4
    """Requests that one model answers at the same time."""
    queue: int = 512
    """Requests that may wait."""
    load_timeout_s: float | None = 300.0
    """How long loading may make no progress; None for ever."""


@dataclass(frozen=True, slots=True)
class Model:
    """What can be loaded: a model of the store, by the digest of its manifest."""

    digest: str
    files: ModelFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is told of a model that is loaded."""

    model: Model
    state: str
    size: int
    """Bytes that it takes."""
    size_vram: int
    """Those of them on GPUs."""
    processor: str
    n_ctx: int
    users: int
    places: int
    expires_at: float
    """In seconds of the pool's clock; infinity for never."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A place at a model for one request."""

    worker: AsyncWorker
    waited_s: float
    """Seconds that the request waited for it, loading included."""
