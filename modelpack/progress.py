"""What long operations say while they run.

An operation is handed a `Report` and calls it with an `Event`; what becomes of it (a bar, a
line, JSON, nothing) is the caller's business. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Action: TypeAlias = Literal["hash", "build", "push", "pull", "export", "status", "warning"]

WARNING = "warning: "
"""How a line of the server's begins that was a warning."""
TOTAL = "total"
"""The item of what a push or pull of one manifest has to bring in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One piece of news about one item."""

    action: Action
    """What is being done; `status` is a plain line of text in `item`, `warning` one of something
    that went wrong, and that whoever asked for the rest of it should hear of."""
    item: str
    """What it is done to: a digest, a file name, or the text of a `status` or `warning`.

    `total` comes before the blobs of a manifest, with the bytes of all of them, and after them with
    `done`. A blob that is there already counts as done, so that the sums agree.
    """
    total: int = 0
    """Bytes in all, 0 where unknown."""
    completed: int = 0
    """Bytes done so far, never falling but where something starts over."""
    done: bool = False
    """Nothing more will be said about this item."""
    note: str = ""
    """A word on how it began or ended, such as `resumed at 62 %`, `exists` or `mounted`."""

    @property
    def is_text(self) -> bool:
        """Whether it is a line of text, and not about something that moves."""
        return self.action in ("status", "warning")


Report: TypeAlias = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Ignore *_event*: the report of those who do not want one."""
