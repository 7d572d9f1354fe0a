"""The one copy: push, pull and everything between are this function.

Leaves first, names last: when the name appears, all that it needs is there and verified. What
the other side has already is not moved.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from modelpack.content.base import Mounter, Sink, Source
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
    blobs = list({(blob.digest, blob.size): blob for blob in manifest.blobs}.values())
    _all(
        [lambda blob=blob: _copy_blob(source, sink, blob, options, report) for blob in blobs],  # type: ignore[misc]
        options.concurrency,
    )
    sink.name(names[1], manifest)
    return manifest


def _all(tasks: list[Callable[[], None]], concurrency: int) -> None:
    with ThreadPoolExecutor(concurrency, thread_name_prefix="copy") as pool:
        futures: list[Future[None]] = [pool.submit(task) for task in tasks]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _copy_blob(
    source: Source,
    sink: Sink,
    blob: Descriptor,
    options: CopyOptions,
    report: Report,
) -> None:
    item = str(blob.digest)

    def say(completed: int, *, done: bool = False, note: str = "") -> None:
        report(
            Event(
                action=options.action,
                item=item,
                total=blob.size,
                completed=completed,
                done=done,
                note=note,
            )
        )

    if sink.has(blob):
        say(blob.size, done=True, note="exists")
        return
    if isinstance(sink, Mounter) and sink.mount(blob):
        say(blob.size, done=True, note="mounted")
        return
    moved = 0

    def advance(count: int) -> None:
        nonlocal moved
        moved += count
        say(moved)

    say(0)
    with source.open(blob) as body:
        sink.put(blob, body, advance)
    say(blob.size, done=True)
