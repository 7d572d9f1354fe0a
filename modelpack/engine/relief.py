"""Who gives up memory when there is none for the next step.

First what nobody uses, the longest unused first; then the youngest answer, which waits and is
computed again later. The only one left cannot give way to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Holder:
    """A slot and what it holds."""

    slot: int
    tokens: int
    used: int
    """When it was given to a request last; larger is later."""
    request: int | None
    """The number of the request that is using it; larger is younger."""


@dataclass(frozen=True, slots=True)
class Relief:
    """What to do about one slot: forget it, make its request wait, or give the request up."""

    action: Literal["forget", "preempt", "fail"]
    slot: int


def plan_relief(holders: Iterable[Holder]) -> Relief | None:
    """Return the next thing to do for room, or nothing where there is nothing to do."""
    holders = list(holders)
    idle = [holder for holder in holders if holder.request is None and holder.tokens]
    if idle:
        return Relief("forget", min(idle, key=lambda holder: holder.used).slot)
    busy = [(holder.request, holder.slot) for holder in holders if holder.request is not None]
    if not busy:
        return None
    return Relief("preempt" if len(busy) > 1 else "fail", max(busy)[1])
