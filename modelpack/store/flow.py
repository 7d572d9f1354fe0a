"""The bytes of one file on their way to the disk and into a digest, behind those who fetch them.

All of it goes past the page cache, where there is such a way: the disk takes it at its own speed,
and nothing is copied. Bytes that come in order are written by one thread, while another hashes the
same memory. What comes out of order is read back when it is its turn.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from modelpack import limits
from modelpack.content.pool import Pool, Task

ALIGNED = 4096
"""What goes past the page cache begins and ends at multiples of this."""


class Block:
    """Memory to fetch into; *start* is where it belongs in the file once it is filled."""

    def __init__(self) -> None:
        self.memory = _memory()
        self.start = 0
        self.count = 0
        self.users = 0


class Flow:
    """Takes the blocks of a file of *size* bytes that is open as *file*; threads may share it.

    *written* hears of what was written: where, and how many bytes.
    """

    def __init__(self, file: int, size: int, written: Callable[[int, int], None]) -> None:
        self._file = file
        self._size = size
        self._written = written
        self._direct = _open_direct(file)
        self._changed = threading.Condition()
        self._free: list[Block] = []
        self._made = 0
        self._lanes = 0
        self._ready: deque[Block] = deque()
        self._whole = 0
        self._hashed = 0
        self._ended = False
        self._failure: OSError | None = None
        self._waits = _Waits()
        self._dirty = 0
        self._flushes: list[Task[None]] = []
        self._threads = Pool(2, "behind")
        self._writer = Pool(1, "writer")  # one, so that what is written has no gaps
        self._digest = self._threads.submit(self._hash)

    def take(self) -> Block:
        """Return a free block; waits while all of them are to be written or hashed.

        Raises:
            OSError: what was given could not be written.
        """
        with self._changed:
            while not self._free:
                self._check()
                if self._made < limits.FLOW_BLOCKS + self._lanes:
                    self._made += 1
                    return Block()
                self._changed.wait()
            self._check()
            return self._free.pop()

    def count_lane(self, change: int) -> None:
        """Say that there is one more, or one less, who fills blocks."""
        with self._changed:
            self._lanes += change
            self._changed.notify_all()

    def give_back(self, block: Block) -> None:
        """Take *block* back unused, or used up."""
        with self._changed:
            self._free.append(block)
            self._changed.notify_all()

    def store(self, block: Block, start: int, count: int) -> None:
        """Write the first *count* bytes of *block* at *start*; the block is not the caller's then.

        Raises:
            OSError: it could not be written.
        """
        block.start, block.count = start, count
        with self._changed:
            if 0 < start - self._end_of_ready() <= limits.FLOW_LAG and self._whole >= start:
                self._changed.wait_for(lambda: self._ended or self._end_of_ready() == start)
            in_order = start == self._end_of_ready() and start % ALIGNED == 0 and not self._ended
            if in_order:
                block.users = 2
                self._ready.append(block)
                self._changed.notify_all()
        if in_order:
            self._writer.submit(self._write_behind, block)
            return
        try:
            self._write(block)
        finally:
            self.give_back(block)

    def whole_up_to(self, end: int) -> None:
        """Say that all bytes before *end* are in the file."""
        with self._changed:
            self._whole = max(self._whole, end)
            self._changed.notify_all()

    def is_starved(self) -> bool:
        """Tell whether hashing has mostly waited for bytes lately: more of them could come."""
        return self._waits.are_long(time.monotonic())

    def digest(self) -> str:
        """Wait for the end and return the sha256 in hexadecimal digits; all bytes are on the disk.

        Raises:
            OSError: something could not be written.
        """
        found = self._digest.result()
        self._writer.end()
        self._flushes.append(self._threads.submit(os.fdatasync, self._file))
        for flush in self._flushes:
            flush.result()
        self._threads.end()
        with self._changed:
            if self._failure is not None:
                raise self._failure
        return found

    def end(self) -> None:
        """Stop: what is on its way is written, and nothing more is hashed."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._writer.end()
        self._threads.end()
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _end_of_ready(self) -> int:
        return self._ready[-1].start + self._ready[-1].count if self._ready else self._hashed

    def _write_behind(self, block: Block) -> None:
        try:
            self._write(block)
        except OSError as error:
            with self._changed:
                self._failure = error
                self._ended = True
                self._changed.notify_all()
        finally:
            self._done_with(block)

    def _write(self, block: Block) -> None:
        straight = 0
        if self._direct >= 0 and block.start % ALIGNED == 0:
            straight = block.count - block.count % ALIGNED
            if straight and not _write(self._direct, block.memory[:straight], block.start):
                straight = 0  # the file system does not want that after all
        if straight < block.count:
            self._through(block.memory[straight : block.count], block.start + straight)
        self._written(block.start, block.count)

    def _through(self, data: memoryview, start: int) -> None:
        """Write *data* through the page cache, and send it to the disk now and then."""
        if not _write(self._file, data, start):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        with self._changed:
            self._dirty += len(data)
            flush = self._dirty >= limits.FLUSH_EVERY
            self._dirty = 0 if flush else self._dirty
            if flush and not self._ended:
                self._flushes.append(self._threads.submit(os.fdatasync, self._file))

    def _hash(self) -> str:
        digest = hashlib.sha256()
        back = _memory()
        while self._hashed < self._size:
            block, ready = self._next()
            if block is not None:
                digest.update(block.memory[: block.count])
                self._advance(block.count, block)
            elif not ready:
                return ""
            while self._hashed < ready and not self._ended:
                count = min(self._read_back(back, ready - self._hashed), ready - self._hashed)
                if not count:
                    return ""  # somebody cut the file
                digest.update(back[:count])
                self._advance(count)
        return digest.hexdigest()

    def _read_back(self, room: memoryview, wanted: int) -> int:
        """Read what is to be hashed next, past the page cache like it was written."""
        if self._direct >= 0 and self._hashed % ALIGNED == 0:
            with suppress(OSError):
                rounded = wanted + -wanted % ALIGNED
                return os.preadv(self._direct, [room[:rounded]], self._hashed)
        return os.preadv(self._file, [room[:wanted]], self._hashed)

    def _next(self) -> tuple[Block | None, int]:
        """Wait for a block, or for the file to be readable up to there; (None, 0) is the end."""
        with self._changed:
            self._waits.begin(time.monotonic())
            self._changed.wait_for(self._has_next)
            self._waits.end(time.monotonic())
            if self._ended:
                return None, 0
            if self._ready:  # always what follows what was hashed
                return self._ready[0], 0
            return None, self._whole

    def _has_next(self) -> bool:
        return self._ended or bool(self._ready) or self._whole > self._hashed

    def _advance(self, count: int, block: Block | None = None) -> None:
        with self._changed:
            self._hashed += count
            if block is not None:
                self._ready.popleft()
            self._changed.notify_all()
        if block is not None:
            self._done_with(block)

    def _done_with(self, block: Block) -> None:
        with self._changed:
            block.users -= 1
            if not block.users:
                self._free.append(block)
                self._changed.notify_all()


class _Waits:
    """How much of the last moments was spent waiting."""

    def __init__(self) -> None:
        self._watched = time.monotonic()
        self._waiting = 0.0
        self._waited = 0.0

    def begin(self, now: float) -> None:
        """Begin to wait."""
        self._waiting = now

    def end(self, now: float) -> None:
        """Wait no more."""
        self._waited += now - self._waiting
        self._waiting = 0.0

    def are_long(self, now: float) -> bool:
        """Tell whether that was most of the time since it was last asked for."""
        since = now - self._watched
        if since < limits.FLOW_WATCHED_S:
            return False
        waited = self._waited + (now - self._waiting if self._waiting else 0.0)
        self._watched, self._waited = now, 0.0
        return waited > since * limits.FLOW_STARVED


class Lane:
    """Fills the bytes from *start* up to *stop* of a file, block after block; one thread's own."""

    def __init__(self, flow: Flow, start: int, stop: int) -> None:
        self._flow = flow
        self._at = start
        self._stop = stop
        self._block: Block | None = None
        self._filled = 0
        flow.count_lane(1)

    def room(self) -> memoryview:
        """Return where the next bytes go; it is empty when all have come."""
        if self._block is None:
            if self._at == self._stop:
                return memoryview(b"")
            self._block = self._flow.take()
        return self._block.memory[self._filled : self._stop - self._at]

    def filled(self, count: int) -> int:
        """Say that *count* bytes of the room were filled; return how many are handed on now."""
        assert self._block is not None  # noqa: S101 - it gave the room
        self._filled += count
        if self._filled < min(len(self._block.memory), self._stop - self._at):
            return 0
        return self._hand_on(self._filled)

    def close(self) -> int:
        """Hand on what has come, but for an odd end; return how many bytes that are."""
        handed = self._hand_on(self._filled - self._filled % ALIGNED) if self._filled else 0
        if self._block is not None:
            self._flow.give_back(self._block)
            self._block = None
        self._flow.count_lane(-1)
        return handed

    def _hand_on(self, count: int) -> int:
        if self._block is None or not count:
            return 0
        block, self._block = self._block, None
        start, self._at, self._filled = self._at, self._at + count, 0
        self._flow.store(block, start, count)
        return count


def _open_direct(file: int) -> int:
    """Open *file* once more, to write past the page cache; -1 where there is no such thing."""
    flag = getattr(os, "O_DIRECT", 0)
    if not flag:
        return -1
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC | flag)
    except OSError:
        return -1


def _write(file: int, data: memoryview, start: int) -> bool:
    """Write all of *data* at *start*; tells whether *file* takes it in this form at all."""
    done = 0
    while done < len(data):
        try:
            done += os.pwrite(file, data[done:], start + done)
        except OSError as error:
            if error.errno == errno.EINVAL and not done:
                return False
            raise
    return True


def _memory() -> memoryview:
    """Return `RANGE_BLOCK` bytes, in huge pages if there are any: one is pinned sooner than 512."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(mmap.mmap(-1, limits.RANGE_BLOCK))
    memory = mmap.mmap(-1, limits.RANGE_BLOCK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
