"""Progress: bars on a terminal, lines when piped, JSON events for scripts, nothing with `-q`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, TypeAlias

from modelpack.cli._console import format_size
from modelpack.progress import Event, Report, silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Mode: TypeAlias = Literal["auto", "json", "quiet"]

_EVERY_S = 5.0
_VERBS = {
    "hash": "checking",
    "build": "building",
    "push": "pushing",
    "pull": "pulling",
    "export": "exporting",
}


@contextmanager
def progress(mode: Mode) -> Iterator[Report]:
    """Yield a report that shows events on stderr as *mode* says."""
    if mode == "quiet":
        yield silent
    elif mode == "json":
        yield _Json()
    elif sys.stderr.isatty():
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield _Lines()


def mode_of(*, quiet: bool, as_json: bool) -> Mode:
    """Return the mode that the flags ask for."""
    if as_json:
        return "json"
    return "quiet" if quiet else "auto"


def _label(event: Event) -> str:
    name = event.item.removeprefix("sha256:")
    return f"{_VERBS[event.action]} {name[:12] if name != event.item else name}"


class _Json:
    """One JSON object a line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            now = time.monotonic()
            if event.action != "status" and not event.done:
                if now - self._last.get(event.item, -1.0) < 0.1:
                    return
                self._last[event.item] = now
            sys.stderr.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")


class _Lines:
    """A line when something ends, and one every few seconds while it goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.action == "status":
                sys.stderr.write(event.item + "\n")
                return
            now = time.monotonic()
            begun = self._last.setdefault(event.item, now)
            if event.done:
                note = f" ({event.note})" if event.note else ""
                sys.stderr.write(f"{_label(event)}: {format_size(event.total)}{note}\n")
            elif now - begun >= _EVERY_S:
                self._last[event.item] = now
                percent = 100 * event.completed // max(1, event.total)
                size = f"{format_size(event.completed)}/{format_size(event.total)}"
                sys.stderr.write(f"{_label(event)}: {percent}% {size}\n")


class _Bars:
    """One bar for each item."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.action == "status":
                self._print(event.item)
                return
            bars = self._progress()
            task = self._tasks.get(event.item)
            if task is None:
                task = bars.add_task(_label(event), total=max(1, event.total))
                self._tasks[event.item] = task
            label = _label(event) + (f" ({event.note})" if event.note else "")
            completed = max(1, event.total) if event.done else event.completed
            bars.update(task, completed=completed, description=label)

    def stop(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self._drawn is not None:
            self._drawn.stop()

    def _print(self, text: str) -> None:
        if self._drawn is None:
            sys.stderr.write(text + "\n")
        else:
            self._drawn.console.print(text, markup=False, highlight=False)

    def _progress(self) -> Progress:
        if self._drawn is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._drawn = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
            )
            self._drawn.start()
        return self._drawn
