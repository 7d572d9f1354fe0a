"""Which status of HTTP an error has; what is said of it is up to each API."""

from __future__ import annotations

import logging

from modelpack.errors import (
    AuthenticationError,
    EngineError,
    InputError,
    IntegrityError,
    MissingExtraError,
    ModelPackError,
    NotFoundError,
    RegistryError,
    StoppedError,
    StoreError,
)
from modelpack.server.daemon.pool.values import BusyError, StoppingError

_log = logging.getLogger("modelpack.server")


class RefusedError(ModelPackError):
    """A request that gets the status *status*, with *headers* besides."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class UnableError(EngineError):
    """What the model cannot do, or a prompt that does not fit: the request is at fault."""


_STATUSES: tuple[tuple[type[ModelPackError], int], ...] = (
    (BusyError, 503),
    (StoppingError, 503),
    (UnableError, 400),
    (InputError, 400),
    (NotFoundError, 404),
    (AuthenticationError, 401),
    (RegistryError, 502),
    (MissingExtraError, 501),
    (StoppedError, 499),
    (IntegrityError, 500),
    (StoreError, 500),
    (EngineError, 500),
)


def status_of(error: Exception) -> int:
    """Return the status that says what kind of *error* it is."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def message_of(error: Exception) -> str:
    """Return what is said of *error*: nothing of what we did not expect."""
    if isinstance(error, ModelPackError):
        return f"{error} ({error.hint})" if error.hint else str(error)
    _log.error("a request failed", exc_info=error)
    return "the server failed"
