"""The one copy: push, pull and everything between are this function.

Leaves first, names last: when the name appears, all that it needs is there and verified. What
the other side has already is not moved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from modelpack import limits
from modelpack.content.base import (
    Bringing,
    Checking,
    Continuing,
    Interruptible,
    Mounter,
    Partial,
    RangeSource,
    Resumable,
    Sink,
    Source,
    Taking,
)
from modelpack.content.parallel import Crew, RangedFetch
from modelpack.content.pool import CancelledError, Pool, Task, wait
from modelpack.content.rate import limited
from modelpack.errors import StoppedError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.progress import TOTAL, Action, Event, Report, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """How to copy."""

    action: Literal["push", "pull"]
    """What the user calls it."""
    check: Callable[[Manifest], object] | None = None
    """May refuse the manifest before any blob moves."""
    concurrency: int = 4
    """Blobs and ranges of blobs that move at a time."""
    verify: bool = False
    """Read what is there already, and fetch it anew where it is damaged."""
    limit_rate: int = 0
    """Bytes a second that all of them move together; 0 for no limit."""
    sound: set[Digest] = field(default_factory=set)
    """What was read or moved already, by this copy or others with these options: read once."""


def copy(
    source: Source,
    sink: Sink,
    names: tuple[Reference, Reference],
    options: CopyOptions,
    report: Report = silent,
) -> Manifest:
    """Copy the manifest *names* [0] with its blobs from *source* to *names* [1] in *sink*.

    The first failure ends the copy; blobs that arrived stay, the name does not appear.
    """
    manifest = source.resolve(names[0])
    if options.check is not None:
        options.check(manifest)
    blobs = {(blob.digest, blob.size): blob for blob in manifest.blobs}.values()
    total = Event(action=options.action, item=TOTAL, total=sum(blob.size for blob in blobs))
    report(total)
    with Pool(options.concurrency, "copy") as pool:
        copying = _Copying(source, sink, options, report, pool)
        small = [blob for blob in blobs if blob.size <= limits.SMALL]
        futures = [pool.submit(copying.copy, blob) for blob in blobs if blob.size > limits.SMALL]
        for future in futures:
            future.then(copying.watch)
        try:
            futures += [pool.submit(copying.copy, blob) for blob in copying.together(small)]
            wait(futures)
        except BaseException as error:
            copying.stop()
            pool.end(wait=False, cancel=True)
            if copying.failure is not None and isinstance(error, Exception):
                raise copying.failure from None
            raise
    sink.name(names[1], manifest)
    report(replace(total, completed=total.total, done=True))
    return manifest


class _Copying:
    """What the threads of one copy share."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        options: CopyOptions,
        report: Report,
        pool: Pool,
    ) -> None:
        self._stopped = threading.Event()
        self._source = limited(source, options.limit_rate, self._stopped.wait)
        self._ends = (source, sink)
        self._sink = sink
        self._options = options
        self._report = report
        self._pool = pool
        self.failure: BaseException | None = None
        """Why `watch` has stopped the copy."""

    def watch(self, copied: Task[None]) -> None:
        """Stop if *copied*, which has ended, has failed, for whoever does not wait for it."""
        error = copied.error()
        if isinstance(error, CancelledError):
            return
        if error is not None and not self._stopped.is_set():
            self.failure = error
            self.stop()

    def stop(self) -> None:
        """Let whatever still moves end at once."""
        self._stopped.set()
        for end in self._ends:
            if isinstance(end, Interruptible):
                end.interrupt()

    def check(self) -> None:
        """Raise if the copy has ended otherwise."""
        if self._stopped.is_set():
            raise StoppedError("the copy has failed elsewhere")

    def copy(self, blob: Descriptor) -> None:
        """Copy one blob, unless it is there."""
        news = self._news(blob)
        there = self._sink.has(blob)
        if there and self._is_sound(blob, news):
            news.end("exists")
        elif isinstance(self._sink, Mounter) and self._sink.mount(blob):
            news.end("mounted")
        elif isinstance(self._sink, Resumable):
            with self._sink.partial(blob, news.wait, anew=there) as partial:
                if partial is None:
                    news.end("exists")
                elif not self._in_ranges(blob, partial, news):
                    self._whole(blob, news)
        else:
            self._whole(blob, news)
        self._options.sound.add(blob.digest)

    def together(self, blobs: Sequence[Descriptor]) -> list[Descriptor]:
        """Copy *blobs*, which are small; return those that must be copied one by one."""
        source, sink = self._source, self._sink
        if len(blobs) < limits.SMALL_FROM:
            return list(blobs)
        if not (isinstance(source, Bringing) and isinstance(sink, Taking)):
            return list(blobs)
        left = dict.fromkeys(blobs)
        lacking = []
        width = self._options.concurrency * limits.LINES_EACH
        for blob, there in sink.look(blobs, width):
            if not there:
                lacking.append(blob)
            elif not self._options.verify:
                self._news(blob).end("exists")
                del left[blob]
        for blob in sink.take(source.bring(lacking, width), width):
            self._news(blob).end()
            del left[blob]
        return list(left)

    def _news(self, blob: Descriptor) -> _News:
        self.check()
        return _News(self._options.action, blob, self._report, self.check)

    def _is_sound(self, blob: Descriptor, news: _News) -> bool:
        """Tell whether *blob*, which is there, is to be trusted: by its size, or by its bytes."""
        if not (self._options.verify and isinstance(self._sink, Checking)):
            return True
        if blob.digest in self._options.sound:
            return True
        if self._sink.check(blob, news.checked):
            return True
        news.say(f"{blob.digest} is damaged here, fetching it anew")
        return False

    def _whole(self, blob: Descriptor, news: _News) -> None:
        news.begin(self._sink.resume(blob) if isinstance(self._sink, Continuing) else 0)
        with self._source.open(blob) as body:
            self._sink.put(blob, body, news.advance)
        news.end()

    def _in_ranges(self, blob: Descriptor, partial: Partial, news: _News) -> bool:
        if blob.size < limits.RANGES_FROM or not isinstance(self._source, RangeSource):
            return False
        fetch = RangedFetch(self._source, partial, blob, news.advance)
        news.begin(fetch.resumed)
        if fetch.run(Crew(self._options.concurrency - 1, self._help), news.begin):
            news.end()
            return True
        partial.clear()
        return False

    def _help(self, work: Callable[[], None]) -> Task[None]:
        """Let a thread that has no blob to copy do *work*."""
        self.check()
        return self._pool.submit(work)


class _News:
    """What is said about one blob; threads may share it."""

    def __init__(
        self,
        action: Literal["push", "pull"],
        blob: Descriptor,
        report: Report,
        check: Callable[[], None],
    ) -> None:
        self._action: Literal["push", "pull"] = action
        self._blob = blob
        self._report = report
        self._check = check
        self._lock = threading.Lock()
        self._moved = 0
        self._waited = False

    def wait(self) -> None:
        """Say, once, that another process brings the blob."""
        self._check()
        if not self._waited:
            self._waited = True
            self.say(f"another process is fetching {self._blob.digest}, waiting for it")

    def say(self, text: str) -> None:
        """Say a line of text."""
        self._report(Event(action="status", item=text))

    def begin(self, resumed: int = 0) -> None:
        """Say that the blob begins to move, or begins again."""
        with self._lock:
            self._moved = resumed
            note = f"resumed at {100 * resumed // self._blob.size} %" if resumed else ""
            self._say(note=note)

    def advance(self, count: int) -> None:
        """Say that *count* more bytes have moved."""
        self._check()
        with self._lock:
            self._moved += count
            self._say()

    def checked(self, count: int) -> None:
        """Say that *count* more bytes of the blob, which is there, were read."""
        self._check()
        with self._lock:
            self._moved += count
            self._say(action="hash")

    def end(self, note: str = "") -> None:
        """Say that the blob is there."""
        with self._lock:
            self._moved = self._blob.size
            self._say(done=True, note=note)

    def _say(self, *, action: Action | None = None, done: bool = False, note: str = "") -> None:
        self._report(
            Event(
                action=action or self._action,
                item=str(self._blob.digest),
                total=self._blob.size,
                completed=self._moved,
                done=done,
                note=note,
            )
        )
