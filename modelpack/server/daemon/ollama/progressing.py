"""Long work in a thread, told of line by line, as the progress bars of clients know it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias

from modelpack.errors import ModelPackError, StoppedError
from modelpack.progress import TOTAL, WARNING, Event, Report
from modelpack.server.daemon.answers import dumps
from modelpack.server.daemon.failures import message_of, status_of

Line: TypeAlias = dict[str, object]
Work: TypeAlias = Callable[[Report], None]

_EVERY_S = 0.06
"""How often progress is told."""
_SHOWN = 12
"""Digits of a digest in a status."""


class Telling:
    """Takes what a thread reports; gives the last of each item, now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, Line] = {}
        self._stopped = False

    def report(self, event: Event) -> None:
        """Take note of *event*.

        Raises:
            StoppedError: nobody listens any more.
        """
        if self._stopped:
            raise StoppedError("the client has gone")
        line = _line(event)
        if line is not None:
            with self._lock:
                self._lines[event.item] = line

    def status(self, text: str) -> None:
        """Tell *text* once."""
        with self._lock:
            self._lines[text] = {"status": text}

    def stop(self) -> None:
        """Let the thread end at its next report."""
        self._stopped = True

    def take(self) -> list[Line]:
        """Return what is new."""
        with self._lock:
            lines, self._lines = list(self._lines.values()), {}
        return lines


async def told(work: Work, first: str, last: tuple[str, ...]) -> AsyncGenerator[Line, None]:
    """Do *work* in a thread and yield what is told of it, from the status *first* to *last*.

    Closing the generator ends the work at its next report.

    Raises:
        ModelPackError: the work failed.
    """
    telling = Telling()
    yield {"status": first}
    task = asyncio.ensure_future(asyncio.to_thread(work, telling.report))
    task.add_done_callback(_heard)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=_EVERY_S)
            for line in telling.take():
                yield line
        task.result()
    finally:
        telling.stop()
    for status in last:
        yield {"status": status}


def _heard(task: asyncio.Future[None]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


async def as_lines(lines: AsyncGenerator[Line, None]) -> AsyncGenerator[bytes, None]:
    """Write *lines* as JSON, one in a line; an error is the last of them."""
    try:
        async for line in lines:
            yield (dumps(line) + "\n").encode()
    except ModelPackError as error:
        said = {"error": message_of(error), "status_code": status_of(error)}
        yield (dumps(said) + "\n").encode()
    finally:
        await lines.aclose()


async def at_its_end(lines: AsyncGenerator[Line, None]) -> Line:
    """Return the last of *lines*."""
    last: Line = {}
    async for last in lines:  # noqa: B007 - the last one is wanted
        pass
    return last


def _line(event: Event) -> Line | None:
    if event.item == TOTAL or event.action == "status":
        return None
    if event.action == "warning":
        return {"status": f"{WARNING}{event.item}"}
    if event.action not in ("pull", "push"):
        return {"status": f"{event.action} {event.item}"[:200]}
    verb = "pulling" if event.action == "pull" else "pushing"
    shown = event.item.removeprefix("sha256:")[:_SHOWN]
    done = event.total if event.done and event.total else event.completed
    return {
        "status": f"{verb} {shown}",
        "digest": event.item,
        "total": event.total,
        "completed": done,
    }
