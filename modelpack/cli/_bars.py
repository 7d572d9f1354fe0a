"""Bars on a terminal: one for each item while there is room, and one for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table

from modelpack.cli._events import Totals, label
from modelpack.progress import TOTAL, Event

_MARGIN = 3
"""Lines that are left free: for the total, a line of text and the cursor."""


class Bars:
    """Draws until it is stopped; its caller sees to it that one thread at a time uses it."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = _TotalLast(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=console or Console(stderr=True),
        )
        self._totals = Totals()
        self._tasks: dict[str, TaskID] = {}
        self._finished: dict[str, None] = {}
        """Items whose bar is full, oldest first."""
        self._notes: dict[str, str] = {}
        self._is_short = False
        """There is not a bar for everything."""
        self._progress.start()

    def show(self, event: Event) -> None:
        """Draw *event*."""
        found = self._totals.found
        counted = self._totals.add(event)
        if event.item != TOTAL:
            self._show_item(event)
        if counted and (self._totals.is_shown or self._is_short):
            self._show_total(self._totals.found - found)

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def _show_item(self, event: Event) -> None:
        size = max(1, event.total)
        completed = size if event.done else event.completed
        note = self._notes.get(event.item, "")
        if event.note or (note and not event.done and not event.completed):  # it began anew
            note = self._notes[event.item] = event.note
        text = label(event) + (f" ({note})" if note else "")
        task = self._tasks.get(event.item)
        if task is None:
            if not self._has_room(event):
                return
            task = self._progress.add_task(text, total=size, completed=completed)
            self._tasks[event.item] = task
        else:
            self._progress.update(task, completed=completed, description=text)
        if event.done:
            self._finished[event.item] = None

    def _has_room(self, event: Event) -> bool:
        """Find room for one more bar, in place of the oldest full one if need be."""
        if len(self._tasks) < self._progress.console.height - _MARGIN:
            return True
        self._is_short = True
        if event.done or not self._finished:
            return False
        oldest = next(iter(self._finished))
        del self._finished[oldest]
        self._progress.remove_task(self._tasks.pop(oldest))
        return True

    def _show_total(self, found: int) -> None:
        totals = self._totals
        counts = [f"{totals.finished} done"] if totals.finished else []
        counts += [f"{totals.there} existed"] if totals.there else []
        text = "total" + (f" ({', '.join(counts)})" if counts else "")
        size, completed = max(totals.total, totals.completed), totals.completed
        if not totals.moving:
            size = completed = totals.there_bytes
        task = self._progress.total
        if task is None:
            number = self._progress.add_task(text, total=size, completed=completed)
            task = self._progress.total = next(t for t in self._progress.tasks if t.id == number)
        task.total = size  # both not by `update`, which would forget or spoil the speed
        task.completed = task.completed + found if totals.moving else completed
        self._progress.update(task.id, completed=completed, description=text)


class _TotalLast(Progress):
    """Bars of which one, the total, is always the last."""

    total: Task | None = None

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """Return the bars as a table."""
        return super().make_tasks_table(sorted(tasks, key=lambda task: task is self.total))
