"""What events tell: what they are about, and how much of a whole transfer is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelpack.progress import TOTAL, Event

_THERE = ("exists", "mounted")
_MOVES = ("push", "pull")
_VERBS = {
    "hash": "checking",
    "build": "building",
    "push": "pushing",
    "pull": "pulling",
    "export": "exporting",
}


def label(event: Event) -> str:
    """Say what is done to what."""
    name = event.item.removeprefix("sha256:")
    return f"{_VERBS[event.action]} {name[:12] if name != event.item else name}"


@dataclass(slots=True)
class Totals:
    """Counts the bytes of everything that moves; what was there already is no part of it."""

    total: int = 0
    """Bytes of all that moves or may have to move."""
    completed: int = 0
    """Bytes of it that are there."""
    found: int = 0
    """Bytes of `completed` that earlier attempts had moved."""
    moving: int = 0
    """Blobs that move or have moved."""
    finished: int = 0
    """Blobs that have moved."""
    there: int = 0
    """Blobs that need not move."""
    there_bytes: int = 0
    _done: dict[str, int] = field(default_factory=dict)

    def add(self, event: Event) -> bool:
        """Count *event*; tells whether that changed anything."""
        if event.action not in _MOVES:
            return False
        if event.item == TOTAL:
            self.total += 0 if event.done else event.total
            return not event.done
        if event.done and event.note in _THERE and event.item not in self._done:
            self.there += 1
            self.there_bytes += event.total
            self.total -= event.total
            return True
        before = self._done.get(event.item)
        if before is None:
            self.moving += 1
            before = 0
            self.found += 0 if event.done else event.completed
        self._done[event.item] = event.completed
        self.completed += event.completed - before
        self.finished += event.done
        return True

    @property
    def is_shown(self) -> bool:
        """Whether a line for the total says more than those of the blobs."""
        return self.moving > 1 and self.total > 0

    @property
    def moved(self) -> int:
        """Bytes that have moved now."""
        return self.completed - self.found

    @property
    def left(self) -> int:
        """Bytes that are still to move."""
        return max(0, self.total - self.completed)
