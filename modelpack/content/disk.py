"""Files that appear whole or not at all, and room for them."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(
    target: Path,
    *,
    aside: Path | None = None,
    mode: int = 0o644,
    errors: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[BinaryIO]:
    """Yield a file that becomes *target*, durable and under its name, if the block ends well.

    It lies in the folder *aside*, by default that of *target*, until then. *errors* converts what
    the file system says about it; what goes wrong within the block is the caller's.
    """
    with errors():
        descriptor, name = tempfile.mkstemp(prefix=".ingest-", dir=aside or target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            with errors():
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
        with errors():
            temporary.replace(target)
            sync_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of *data*, however often it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def reserve(descriptor: int, size: int) -> None:
    """Ask for the room at once: cheaper than block by block, and a full disk says so first.

    Not `os.posix_fallocate`, which writes zeros where the file system cannot reserve.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    fallocate = library.fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if fallocate(descriptor, 0, 0, size) and ctypes.get_errno() in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
