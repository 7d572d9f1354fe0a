"""Fetch one big blob in ranges, going on where an earlier attempt stopped.

One connection begins; others join while more could be taken than comes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from modelpack.content.base import Advance, Partial, Pouring, RangeSource, Readable
from modelpack.content.pool import Task
from modelpack.content.ranges import Ledger, Span
from modelpack.content.verify import origin_of
from modelpack.errors import IntegrityError
from modelpack.oci.descriptor import Descriptor


class Crew(NamedTuple):
    """Others who may help."""

    size: int
    """How many there are."""
    ask: Callable[[Callable[[], None]], Task[None]]
    """Let one of them run something as well, when he has time."""


class RangedFetch:
    """The fetch of one blob; begins when it is made, by reading what is there already."""

    def __init__(
        self, source: RangeSource, partial: Partial, blob: Descriptor, advance: Advance
    ) -> None:
        self._source = source
        self._partial = partial
        self._blob = blob
        self._advance = advance
        self._ledger = partial.begin()
        self._gaps: deque[Span] = deque()
        self._broken = threading.Event()
        self._whole_only = False

    @property
    def resumed(self) -> int:
        """Bytes that were there already."""
        return self._ledger.total

    def run(self, crew: Crew, restarted: Callable[[], None]) -> bool:
        """Fetch what is missing and commit; False where the source gives blobs only whole.

        Raises:
            IntegrityError: the bytes are wrong although all of them came now.
        """
        if not self._fetch(self._ledger, crew):
            return False
        if self._partial.commit():
            return True
        if self.resumed:  # what was left over may be wrong, so it gets no second chance
            self._partial.clear()
            restarted()
            if not self._fetch(self._partial.begin(), crew):
                return False
            if self._partial.commit():
                return True
        self._partial.clear()
        raise IntegrityError(
            f"{origin_of(self._source)} sent other bytes than {self._blob.digest} promises",
            hint="try again; if it stays so, the copy there is damaged",
        )

    def _fetch(self, ledger: Ledger, crew: Crew) -> bool:
        self._gaps.extend(ledger.missing())
        others: list[Task[None]] = []

        def help_wanted() -> None:
            if len(others) < crew.size and self._gaps and self._partial.is_starved():
                others.append(crew.ask(self._work))

        try:
            while self._take(help_wanted):
                pass
        finally:
            errors = [one.error() for one in others if not one.cancel()]
        for error in errors:
            if error is not None:
                raise error
        return not self._whole_only

    def _work(self) -> None:
        while self._take():
            pass

    def _take(self, help_wanted: Callable[[], None] = lambda: None) -> bool:
        """Fetch the next gap; False when there is none, or nothing more is to be fetched."""
        try:
            gap = self._gaps.popleft()
        except IndexError:
            return False
        if self._broken.is_set():
            return False
        try:
            with self._source.open_range(self._blob, gap.start, gap.stop) as body:
                if body is None:
                    self._whole_only = True
                    self._broken.set()
                    return False
                return self._fill(gap, body, help_wanted)
        except BaseException:
            self._broken.set()
            raise

    def _fill(self, gap: Span, body: Readable, help_wanted: Callable[[], None]) -> bool:
        pour = _pouring(body)
        came = 0
        with self._partial.lane(gap) as lane:
            while not self._broken.is_set() and (room := lane.room()):
                count = pour(room)
                if not count:
                    raise IntegrityError(
                        f"{self._blob.digest} ended {gap.size - came:,} bytes before its range did"
                    )
                came += count
                handed = lane.filled(count)
                if handed:
                    self._advance(handed)
                help_wanted()
        return not self._broken.is_set()


def _pouring(body: Readable) -> Callable[[memoryview], int]:
    if isinstance(body, Pouring):
        return body.readinto

    def pour(room: memoryview) -> int:
        data = body.read(len(room))
        room[: len(data)] = data
        return len(data)

    return pour
