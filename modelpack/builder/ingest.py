"""Take files into a store: hashed while they are copied, every core busy.

A whole file is cloned where the file system can, else copied by one thread while another hashes
behind it out of the page cache. A file that is cut into shards is hashed as a whole by one
thread while others copy and hash the shards. Buffers stay in the processor's cache. What is
written is sent to disk on the way, so that little is left for the final fsync.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from modelpack import limits
from modelpack.content.base import Advance, BlobFiles, Scratch
from modelpack.content.disk import reserve, write_all
from modelpack.errors import InputError, NotFoundError
from modelpack.gguf.split import Piece, Shard
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest

_FICLONE = 0x40049409
_SHARD_BLOCK = 512 * limits.KiB
"""Where two threads hash at once, fewer and larger blocks cost less than leaving the cache."""
_RESERVE_FROM = 16 * limits.MiB


def ingest_file(files: BlobFiles, source: Path, *, link: bool, advance: Advance) -> Descriptor:
    """Store *source* as one blob; with *link* as a hard link where the file system can.

    Raises:
        NotFoundError: *source* cannot be read.
        InputError: it changed meanwhile.
    """
    with _opened(source) as (origin, before), files.scratch() as scratch:
        if (link and _hard_link(source, scratch.path)) or _clone(origin, scratch.path):
            with scratch.path.open("rb", buffering=0) as file:
                digest = _hash(file.fileno(), advance, threading.Event())
        else:
            digest = _copy_and_hash(origin, scratch.path, before.st_size, advance)
        _check_unchanged(source, origin, before)
        scratch.commit(digest)
        return Descriptor("", digest, before.st_size)


def ingest_shards(
    files: BlobFiles, source: Path, shards: Sequence[Shard], advance: Advance
) -> tuple[list[Descriptor], Digest]:
    """Store *source* cut into *shards*; return their blobs and the digest of *source* itself.

    *advance* counts the bytes of *source* twice: once for the shards, once for the whole.
    """
    workers = min(os.cpu_count() or 1, 8) + 1  # one more, or the last shard leaves a core idle
    with (
        _opened(source) as (origin, before),
        ThreadPoolExecutor(workers, "ingest") as pool,
        ThreadPoolExecutor(2, "commit") as commits,
        ExitStack() as scratches,
    ):
        _check_size(source, before.st_size, shards)
        cancelled = threading.Event()
        whole = pool.submit(_hash, origin, advance, cancelled)
        copies: list[Future[Digest]] = []
        places: list[Scratch] = []
        for shard in shards:
            place = scratches.enter_context(files.scratch())
            places.append(place)
            copies.append(pool.submit(_copy_shard, origin, place.path, shard, advance, cancelled))
        try:
            blobs: list[Descriptor] = []
            done: list[Future[None]] = []
            for shard, place, copied in zip(shards, places, copies, strict=True):
                blob = Descriptor("", copied.result(), shard.size)
                done.append(commits.submit(place.commit, blob.digest))
                blobs.append(blob)
            digest = whole.result()
            _check_unchanged(source, origin, before)
            for commit in done:
                commit.result()
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            commits.shutdown(cancel_futures=True)
            raise
        return blobs, digest


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """Open a source file: its descriptor, and what it was at the beginning."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from None
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _check_size(source: Path, size: int, shards: Sequence[Shard]) -> None:
    end = max((p.offset + p.length for shard in shards for p in shard.pieces), default=size)
    if end != size:
        raise _changed(source)


def _check_unchanged(source: Path, origin: int, before: os.stat_result) -> None:
    after = os.fstat(origin)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise _changed(source)


def _changed(source: Path) -> InputError:
    return InputError(f"{source} changed while it was read", hint="build again when it is done")


def _hard_link(source: Path, target: Path) -> bool:
    aside = target.with_name(target.name + ".link")
    try:
        os.link(source.resolve(), aside)
    except OSError:
        return False
    aside.replace(target)
    return True


def _clone(origin: int, target: Path) -> bool:
    with target.open("r+b") as file, suppress(OSError):
        fcntl.ioctl(file.fileno(), _FICLONE, origin)
        return True
    return False


def _hash(origin: int, advance: Advance, cancelled: threading.Event) -> Digest:
    digest = hashlib.sha256()
    view = memoryview(bytearray(_SHARD_BLOCK))
    at = 0
    with _Counted(advance) as counted:
        while not cancelled.is_set() and (count := os.preadv(origin, [view], at)):
            digest.update(view[:count])
            at += count
            counted.add(count)
    return Digest(digest.hexdigest())


def _copy_and_hash(origin: int, target: Path, size: int, advance: Advance) -> Digest:
    """Copy *size* bytes while a second thread hashes what was written."""
    written = _Written()
    with target.open("r+b", buffering=0) as file, ThreadPoolExecutor(2, "ingest") as pool:
        hashed = pool.submit(_hash_behind, target, size, written, advance)
        try:
            _reserve(file.fileno(), size)
            flushes = _copy(origin, file.fileno(), size, written, pool)
        except BaseException:
            written.fail()
            raise
        for flush in flushes:
            flush.result()  # a disk that fails says so to whoever asks first
        return Digest(hashed.result())


class _Counted:
    """Passes counts on in larger steps, since telling costs more than hashing a block."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._tell(self._held)

    def add(self, count: int) -> None:
        self._held += count
        if self._held >= limits.TELL_EVERY:
            self._tell(self._held)
            self._held = 0


class _Written:
    """How far a writer has come, for the reader behind it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._failed = False

    def add(self, count: int) -> None:
        with self._changed:
            self._count += count
            self._changed.notify()

    def fail(self) -> None:
        with self._changed:
            self._failed = True
            self._changed.notify()

    def beyond(self, done: int) -> int:
        """Wait until more than *done* bytes are there; returns how many, 0 after a failure."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > done or self._failed)
            return 0 if self._failed else self._count


def _hash_behind(target: Path, size: int, written: _Written, advance: Advance) -> str:
    digest = hashlib.sha256()
    view = memoryview(bytearray(limits.BLOCK))
    done = 0
    with target.open("rb", buffering=0) as file, _Counted(advance) as counted:
        while done < size and (ready := written.beyond(done)):
            while done < ready:
                count = file.readinto(view[: ready - done])
                digest.update(view[:count])
                done += count
                counted.add(count)
    return digest.hexdigest()


def _copy(
    origin: int, target: int, size: int, written: _Written, flusher: ThreadPoolExecutor
) -> list[Future[None]]:
    flushes: list[Future[None]] = []
    pending = 0
    with _Counted(written.add) as counted:
        for block in _blocks(origin, (Piece(0, size),), limits.BLOCK):
            write_all(target, block)
            counted.add(len(block))
            pending += len(block)
            if pending >= limits.FLUSH_EVERY:
                flushes.append(flusher.submit(os.fdatasync, target))
                pending = 0
    return flushes


def _reserve(descriptor: int, size: int) -> None:
    if size >= _RESERVE_FROM:
        reserve(descriptor, size)


def _copy_shard(
    origin: int, target: Path, shard: Shard, advance: Advance, cancelled: threading.Event
) -> Digest:
    digest = hashlib.sha256(shard.header)
    with target.open("r+b", buffering=0) as file, _Counted(advance) as counted:
        _reserve(file.fileno(), shard.size)
        write_all(file.fileno(), shard.header)
        for block in _blocks(origin, shard.pieces, _SHARD_BLOCK):
            if cancelled.is_set():
                break
            digest.update(block)
            write_all(file.fileno(), block)
            counted.add(len(block))
    return Digest(digest.hexdigest())


def _blocks(origin: int, pieces: Sequence[Piece], size: int) -> Iterator[memoryview]:
    """Yield *pieces* of the source, at most *size* bytes at a time in one buffer."""
    view = memoryview(bytearray(size))
    for piece in pieces:
        at, end = piece.offset, piece.offset + piece.length
        while at < end:
            count = os.preadv(origin, [view[: end - at]], at)
            if count == 0:
                raise InputError("the source became shorter while it was read")
            yield view[:count]
            at += count
        if piece.padding:
            yield memoryview(bytes(piece.padding))
