"""One lock file: builders and pullers share it, the collector has it alone.

The kernel lets go of the lock when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelpack.errors import StoreError


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold *path* against the collector; waits until the collector is done."""
    with _held(path, fcntl.LOCK_SH) as _:
        yield


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Try to hold *path* alone; yields whether that worked, without waiting."""
    with _held(path, fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
        yield held


@contextmanager
def _held(path: Path, mode: int) -> Iterator[bool]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            f"cannot write to the store {path.parent}: {error.strerror}",
            hint="set MODELPACK_MODELS to a folder you may write to",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, mode)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
