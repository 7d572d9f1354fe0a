"""Progress: bars on a terminal, lines when piped, JSON events for scripts, warnings with `-q`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, TypeAlias

from modelpack.cli._console import format_duration, format_size
from modelpack.cli._events import Totals, label
from modelpack.progress import TOTAL, Event, Report

if TYPE_CHECKING:
    from modelpack.cli._bars import Bars

Mode: TypeAlias = Literal["auto", "json", "quiet"]

_EVERY_S = 5.0


@contextmanager
def progress(mode: Mode) -> Iterator[Report]:
    """Yield a report that shows events on stderr as *mode* says."""
    if mode == "quiet":
        yield _warnings
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


def _warnings(event: Event) -> None:
    """Show *event* if it is a warning, and nothing else."""
    if event.action == "warning":
        sys.stderr.write(_text(event) + "\n")


def _text(event: Event) -> str:
    return f"Warning: {event.item}" if event.action == "warning" else event.item


class _Json:
    """One JSON object a line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            now = time.monotonic()
            if not event.is_text and event.item != TOTAL and not event.done:
                if now - self._last.get(event.item, -1.0) < 0.1:
                    return
                self._last[event.item] = now
            sys.stderr.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")


class _Lines:
    """A line when something ends or is resumed, and one every few seconds while it goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._totals = Totals()
        self._told = (time.monotonic(), 0)
        """When the total was told last, and what had moved by then."""

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.is_text:
                sys.stderr.write(_text(event) + "\n")
                return
            counted = self._totals.add(event)
            now = time.monotonic()
            if event.item != TOTAL:
                self._tell(event, now)
            if counted and self._totals.is_shown:
                self._tell_total(now)

    def _tell(self, event: Event, now: float) -> None:
        begun = self._last.setdefault(event.item, now)
        if event.done:
            note = f" ({event.note})" if event.note else ""
            sys.stderr.write(f"{label(event)}: {format_size(event.total)}{note}\n")
        elif event.note:
            sys.stderr.write(f"{label(event)}: {event.note}\n")
        elif now - begun >= _EVERY_S:
            self._last[event.item] = now
            sys.stderr.write(f"{label(event)}: {_part(event.completed, event.total)}\n")

    def _tell_total(self, now: float) -> None:
        seconds, moved = now - self._told[0], self._totals.moved - self._told[1]
        if seconds < max(_EVERY_S, 0.001) or not self._totals.left:
            return
        self._told = now, self._totals.moved
        line = f"total: {_part(self._totals.completed, self._totals.total)}"
        speed = moved / seconds
        if speed > 0:
            left = format_duration(self._totals.left / speed)
            line += f", {format_size(int(speed))}/s, {left} left"
        sys.stderr.write(line + "\n")


def _part(completed: int, total: int) -> str:
    percent = 100 * completed // max(1, total)
    return f"{percent}% {format_size(completed)}/{format_size(total)}"


class _Bars:
    """A bar for each item, as far as the terminal has room; begins with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: Bars | None = None

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.is_text:
                self._print(_text(event))
                return
            if self._drawn is None:
                from modelpack.cli._bars import Bars

                self._drawn = Bars()
            self._drawn.show(event)

    def stop(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self._drawn is not None:
            self._drawn.stop()

    def _print(self, text: str) -> None:
        if self._drawn is None:
            sys.stderr.write(text + "\n")
        else:
            self._drawn.print(text)
