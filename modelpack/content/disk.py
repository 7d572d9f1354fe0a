"""Files that appear whole or not at all, room for them, and where a user's are."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from modelpack import limits
from modelpack.errors import InputError


def home_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the user's own folder; None for a user without one."""
    try:
        return Path(environment.get("HOME") or Path.home())
    except RuntimeError:
        return None


def expanded(path: str) -> Path:
    """Return *path* with the folder that a `~` at its beginning stands for.

    Raises:
        InputError: there is no such folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"there is no home folder for {path}", hint="write the path out") from None


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
        descriptor, name = new_file(aside or target.parent, ".ingest-")
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


def have_same_bytes(one: Path, other: Path) -> bool:
    """Tell whether two files can be read and hold the same bytes."""
    blocks = bytearray(limits.BLOCK), bytearray(limits.BLOCK)
    try:
        with other.open("rb", buffering=0) as second, one.open("rb", buffering=0) as first:
            sides = os.fstat(first.fileno()), os.fstat(second.fileno())
            if os.path.samestat(*sides):
                return True
            if sides[0].st_size != sides[1].st_size:
                return False
            while count := first.readinto(blocks[0]):
                if second.readinto(blocks[1]) != count or blocks[0] != blocks[1]:
                    return False  # behind the count is what was the same before
            return True
    except OSError:
        return False


def new_file(folder: Path | str, prefix: str = "tmp") -> tuple[int, str]:
    """Make and open a file in *folder*, with a name that nobody has; it is for its owner only."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    while True:
        name = f"{folder}/{prefix}{os.urandom(8).hex()}"
        with suppress(FileExistsError):
            return os.open(name, flags, 0o600), name


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
