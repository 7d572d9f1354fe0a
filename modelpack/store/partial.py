"""A big blob on its way in: one file, filled in any order, and a journal beside it.

::

    <models>/ingest/sha256-<64 hex>.part    all of the blob's room, locked by whoever fills it
    <models>/ingest/sha256-<64 hex>.json    how much of each part is there

`flow` writes and hashes. What the journal claims is not trusted: the digest of the whole decides.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelpack import limits
from modelpack.content.base import Filling
from modelpack.content.disk import reserve
from modelpack.content.ranges import Ledger, Span, decode_journal, encode_journal
from modelpack.errors import StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.store.blobs import ScratchFile
from modelpack.store.errors import store_errors
from modelpack.store.flow import Flow, Lane
from modelpack.store.paths import Layout

_POLL_S = 0.05


@contextmanager
def partial_file(
    layout: Layout, blob: Descriptor, is_there: Callable[[], bool], waiting: Callable[[], None]
) -> Iterator[PartialFile | None]:
    """Lock the partial file of *blob*; gives None if another process brings the blob meanwhile.

    What is there at the end is kept, unless that is nothing.
    """
    path = layout.partial(blob.digest)
    with store_errors(layout):
        layout.ingest.mkdir(parents=True, exist_ok=True)
        layout.blobs.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path, waiting)
    try:
        partial = PartialFile(layout, blob, path, descriptor)
        try:
            yield None if is_there() else partial
        finally:
            partial.close()
    finally:
        os.close(descriptor)


def _locked(path: Path, waiting: Callable[[], None]) -> int:
    """Return *path* opened, and locked under this very name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            while not _lock(descriptor):
                waiting()
                time.sleep(_POLL_S)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.lstat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it has become a blob, or was removed


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class PartialFile:
    """The partial file of one blob; see `modelpack.content.base.Partial`."""

    def __init__(self, layout: Layout, blob: Descriptor, path: Path, descriptor: int) -> None:
        self._layout = layout
        self._blob = blob
        self._path = path
        self._journal = path.with_suffix(".json")
        self._file = descriptor
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._part = 0
        self._done: list[int] = []
        self._first = 0
        self._written_at = time.monotonic()
        self._begun = False
        self._committed = False
        self._flow: Flow | None = None

    def begin(self) -> Ledger:
        """Make room for the blob and return what an earlier attempt left of it."""
        self._stop()
        self._begun = True
        with store_errors(self._layout):
            ledger = self._read_journal() or Ledger.empty(self._blob.size)
            self._check_room()
            reserve(self._file, self._blob.size)
            os.ftruncate(self._file, self._blob.size)
        self._part = ledger.part
        self._done = list(ledger.done)
        self._first, prefix = ledger.prefix()
        self._write_journal()
        self._flow = Flow(self._file, self._blob.size, self._wrote)
        self._flow.whole_up_to(prefix)
        return ledger

    @contextmanager
    def lane(self, span: Span) -> Iterator[Filling]:
        """Fill *span*, from its beginning."""
        assert self._flow is not None  # noqa: S101 - the file was begun
        lane = _Lane(Lane(self._flow, span.start, span.stop), self._layout)
        try:
            yield lane
        finally:
            lane.close()

    def is_starved(self) -> bool:
        """Tell whether more bytes could be taken than come."""
        return self._flow is not None and self._flow.is_starved()

    def commit(self) -> bool:
        """Make the blob visible if all its bytes are there and are the right ones."""
        flow = self._flow
        with store_errors(self._layout):
            if flow is None or flow.digest() != self._blob.digest.hex:
                return False
        ScratchFile(self._path, self._layout).commit(self._blob.digest)
        self._committed = True
        return True

    def clear(self) -> None:
        """Forget all bytes: what is there is wrong, or cannot be gone on with."""
        self._stop()
        self._done = []
        self._begun = False
        with store_errors(self._layout):
            self._journal.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave what can be gone on with, and nothing else."""
        self._stop()
        with suppress(OSError, StoreError):  # a full disk has said so before
            if self._committed or not self._is_useful():
                self._journal.unlink(missing_ok=True)
                if not self._committed:
                    self._path.unlink(missing_ok=True)
            elif self._done:
                self._write_journal()

    def _is_useful(self) -> bool:
        if not self._begun:
            return False
        return any(self._done) or (not self._done and self._journal.exists())

    def _stop(self) -> None:
        if self._flow is not None:
            self._flow.end()
            self._flow = None

    def _wrote(self, start: int, count: int) -> None:
        part = start // self._part
        with self._counting:
            self._done[part] += count
            if part == self._first and self._flow is not None:
                self._first, prefix = self._ledger().prefix(part)
                self._flow.whole_up_to(prefix)
        full = start + count == min((part + 1) * self._part, self._blob.size)
        if full or time.monotonic() - self._written_at >= limits.JOURNAL_EVERY_S:
            with suppress(StoreError):  # without it, only more has to be fetched again
                self._write_journal()

    def _ledger(self) -> Ledger:
        return Ledger(self._blob.size, self._part, tuple(self._done))

    def _check_room(self) -> None:
        needed = self._blob.size - os.fstat(self._file).st_blocks * 512
        system = os.statvfs(self._layout.ingest)
        free = system.f_bavail * system.f_frsize
        if needed > free:
            raise StoreError(
                f"the store {self._layout.root} has room for {free:,} bytes, but "
                f"{needed:,} of {self._blob.digest} are missing",
                hint="free some space, or set MODELPACK_MODELS to another disk",
            )

    def _read_journal(self) -> Ledger | None:
        if os.fstat(self._file).st_size != self._blob.size:
            return None
        try:
            with self._journal.open("rb") as file:
                raw = file.read(limits.JOURNAL + 1)
        except FileNotFoundError:
            return None
        return decode_journal(raw, self._blob.digest, self._blob.size)

    def _write_journal(self) -> None:
        aside = self._journal.with_suffix(".json.new")
        with self._writing, store_errors(self._layout):
            self._written_at = time.monotonic()
            aside.write_bytes(encode_journal(self._ledger(), self._blob.digest))
            aside.replace(self._journal)


class _Lane:
    """See `modelpack.content.base.Filling`."""

    def __init__(self, lane: Lane, layout: Layout) -> None:
        self._lane = lane
        self._layout = layout

    def room(self) -> memoryview:
        """Return where the next bytes go; it is empty when all have come."""
        with store_errors(self._layout):
            return self._lane.room()

    def filled(self, count: int) -> int:
        """Say that *count* bytes of the room were filled; return how many are handed on now."""
        with store_errors(self._layout):
            return self._lane.filled(count)

    def close(self) -> None:
        """Hand on what has come of a block that is not full."""
        with store_errors(self._layout):
            self._lane.close()
