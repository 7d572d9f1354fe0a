"""Fetch one big blob in ranges, several at a time, going on where an earlier attempt stopped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeAlias

from modelpack import limits
from modelpack.content.base import Advance, Partial, RangeSource, Readable
from modelpack.content.ranges import Ledger, Span
from modelpack.content.verify import origin_of
from modelpack.errors import IntegrityError
from modelpack.oci.descriptor import Descriptor

Helpers: TypeAlias = Callable[[Callable[[], None]], Sequence[Future[None]]]
"""Ask others to run something as well, when they have time."""


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

    def run(self, helpers: Helpers, restarted: Callable[[], None]) -> bool:
        """Fetch what is missing and commit; False where the source gives blobs only whole.

        Raises:
            IntegrityError: the bytes are wrong although all of them came now.
        """
        if not self._fetch(self._ledger, helpers):
            return False
        if self._partial.commit():
            return True
        if self.resumed:  # what was left over may be wrong, so it gets no second chance
            self._partial.clear()
            restarted()
            if not self._fetch(self._partial.begin(), helpers):
                return False
            if self._partial.commit():
                return True
        self._partial.clear()
        raise IntegrityError(
            f"{origin_of(self._source)} sent other bytes than {self._blob.digest} promises",
            hint="try again; if it stays so, the copy there is damaged",
        )

    def _fetch(self, ledger: Ledger, helpers: Helpers) -> bool:
        self._gaps.extend(ledger.missing())
        if not self._take():  # the first range shows whether there are ranges at all
            return not self._whole_only
        others = helpers(self._work)
        try:
            self._work()
        finally:
            errors = [one.exception() for one in others if not one.cancel()]
        for error in errors:
            if error is not None:
                raise error
        return not self._whole_only

    def _work(self) -> None:
        while self._take():
            pass

    def _take(self) -> bool:
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
                return self._fill(gap, body)
        except BaseException:
            self._broken.set()
            raise

    def _fill(self, gap: Span, body: Readable) -> bool:
        held = 0
        while gap.size > held and not self._broken.is_set():
            data = body.read(min(limits.RANGE_BLOCK, gap.size - held))
            if not data:
                raise IntegrityError(
                    f"{self._blob.digest} ended {gap.size - held:,} bytes before its range did"
                )
            self._partial.write(Span(gap.part, gap.start + held, gap.stop), data)
            held += len(data)
            if held >= limits.TELL_EVERY:
                gap = self._tell(gap, held)
                held = 0
        self._tell(gap, held)
        return not self._broken.is_set()

    def _tell(self, gap: Span, count: int) -> Span:
        self._partial.add(gap, count)
        self._advance(count)
        return Span(gap.part, gap.start + count, gap.stop)
