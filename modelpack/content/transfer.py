"""The one copy: push, pull and everything between are this function.

Leaves first, names last: when the name appears, all that it needs is there and verified. What
the other side has already is not moved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from modelpack.content.base import Mounter, Sink, Source
from modelpack.errors import ModelPackError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.progress import Event, Report, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """How to copy."""

    action: Literal["push", "pull"]
    """What the user calls it."""
    check: Callable[[Manifest], object] | None = None
    """May refuse the manifest before any blob moves."""
    concurrency: int = 4
    """Blobs that move at a time."""


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
    copying = _Copying(source, sink, options.action, report)
    blobs = {(blob.digest, blob.size): blob for blob in manifest.blobs}.values()
    with ThreadPoolExecutor(options.concurrency, thread_name_prefix="copy") as pool:
        futures = [pool.submit(copying.copy, blob) for blob in blobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            copying.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    sink.name(names[1], manifest)
    return manifest


class _StoppedError(ModelPackError):
    """Another blob failed, or the user gave up; whoever waits hears of that instead."""


class _Copying:
    """What the threads of one copy share."""

    def __init__(
        self, source: Source, sink: Sink, action: Literal["push", "pull"], report: Report
    ) -> None:
        self._source = source
        self._sink = sink
        self._action = action
        self._report = report
        self.stopped = threading.Event()

    def copy(self, blob: Descriptor) -> None:
        """Copy one blob, unless it is there."""
        if self._sink.has(blob):
            self._say(blob, blob.size, done=True, note="exists")
            return
        if isinstance(self._sink, Mounter) and self._sink.mount(blob):
            self._say(blob, blob.size, done=True, note="mounted")
            return
        moved = 0

        def advance(count: int) -> None:
            nonlocal moved
            moved += count
            if self.stopped.is_set():
                raise _StoppedError(f"{blob.digest} was not copied to its end")
            self._say(blob, moved)

        self._say(blob, 0)
        with self._source.open(blob) as body:
            self._sink.put(blob, body, advance)
        self._say(blob, blob.size, done=True)

    def _say(self, blob: Descriptor, completed: int, *, done: bool = False, note: str = "") -> None:
        self._report(
            Event(
                action=self._action,
                item=str(blob.digest),
                total=blob.size,
                completed=completed,
                done=done,
                note=note,
            )
        )
