"""A limit on how fast bytes come from a source, for those who share their line with others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from modelpack import limits
from modelpack.content.base import RangeSource, Readable, Source
from modelpack.content.verify import origin_of, seek_in
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference

Clock: TypeAlias = Callable[[], float]


class Rate:
    """At most *limit* bytes a second through all threads together, over any second."""

    def __init__(
        self,
        limit: int,
        wait: Callable[[float], object] = time.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self._limit = limit
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.block = max(1, min(limits.BLOCK, limit // 16))
        """Bytes to read at a time, so that they flow rather than jump."""

    def take(self, count: int) -> None:
        """Wait until *count* more bytes may have moved."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self._limit
            pause = self._free_at - now
        if pause > 0:
            self._wait(pause)


class LimitedSource:
    """*source*, whose blobs come no faster than *rate*."""

    def __init__(self, source: Source, rate: Rate) -> None:
        self.origin = origin_of(source)
        self._source = source
        self._rate = rate

    def resolve(self, reference: Reference) -> Manifest:
        """Return the manifest of *reference*."""
        return self._source.resolve(reference)

    @contextmanager
    def open(self, blob: Descriptor) -> Iterator[Readable]:
        """Open *blob* for reading."""
        with self._source.open(blob) as body:
            yield _Limited(body, self._rate)


class LimitedRanges(LimitedSource):
    """The same for a source that can give a part of a blob."""

    def __init__(self, source: Source, ranges: RangeSource, rate: Rate) -> None:
        super().__init__(source, rate)
        self._ranges = ranges

    @contextmanager
    def open_range(self, blob: Descriptor, start: int, stop: int) -> Iterator[Readable | None]:
        """Open the bytes from *start* up to *stop* of *blob*."""
        with self._ranges.open_range(blob, start, stop) as body:
            yield None if body is None else _Limited(body, self._rate)


def limited(source: Source, limit: int, wait: Callable[[float], object]) -> Source:
    """Return *source* with a limit of *limit* bytes a second, 0 for none; *wait* may be cut off."""
    if not limit:
        return source
    rate = Rate(limit, wait)
    if isinstance(source, RangeSource):
        return LimitedRanges(source, source, rate)
    return LimitedSource(source, rate)


class _Limited:
    def __init__(self, body: Readable, rate: Rate) -> None:
        self.origin = origin_of(body)
        self._body = body
        self._rate = rate

    def read(self, size: int = limits.BLOCK, /) -> bytes:
        data = self._body.read(min(size, self._rate.block) if size > 0 else self._rate.block)
        self._rate.take(len(data))
        return data

    def seek(self, offset: int, /) -> int:
        """Go to *offset*, for an upload that begins again."""
        return seek_in(self._body, offset)
