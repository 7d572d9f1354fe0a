"""Which tokens go into the next step.

One step computes rows for many slots at once. Slots that are writing come first, one token each,
so that nobody's answer waits for somebody's prompt; further tokens of theirs and then prompts get
what is left, in the order they came, and less of it while others write, because a long step is a
pause in their answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROMPT_CHUNK = 512
"""Prompt tokens in one step; a cancelled prompt stops after as many."""
PROMPT_CHUNK_CPU = 128
"""The same without a GPU, where 512 tokens can take ten seconds and 128 are as fast a token."""
MIXED_CHUNK = 256
"""Prompt tokens in one step, at most, while other slots are writing; `pace` says how many."""


@dataclass(frozen=True, slots=True)
class Want:
    """What one slot has waiting."""

    slot: int
    count: int
    """Tokens not computed yet."""
    writing: bool
    """Whether the prompt is done; a grammar may give several tokens at once."""
    alone: bool = False
    """Whether all of it takes a step for itself, as pictures do."""


@dataclass(frozen=True, slots=True)
class Take:
    """What one slot gets of the next step."""

    slot: int
    count: int
    output: bool
    """Whether that is all it had waiting, so that the next token can be chosen."""


def plan_step(
    wants: Iterable[Want],
    *,
    capacity: int,
    prompt_chunk: int = PROMPT_CHUNK,
    mixed_chunk: int = MIXED_CHUNK,
) -> list[Take]:
    """Share *capacity* rows among *wants*, which come in the order they were asked for."""
    waiting = [want for want in wants if want.count > 0]
    writing = [want for want in waiting if want.writing][:capacity]
    chunk = min(mixed_chunk, prompt_chunk) if writing else prompt_chunk
    budget = min(capacity - len(writing), chunk)
    takes: list[Take] = []
    for want in writing:
        more = min(want.count - 1, budget)
        takes.append(Take(want.slot, 1 + more, 1 + more == want.count))
        budget -= more
    for want in waiting:
        if want.writing or budget <= 0 or (want.alone and takes):
            continue
        if want.alone:
            return [Take(want.slot, want.count, True)]
        count = min(want.count, budget)
        takes.append(Take(want.slot, count, count == want.count))
        budget -= count
    return takes


def take_turns(wants: Sequence[Want], *, read: bool) -> list[Want]:
    """Return whose turn it is where a step is either for answers or for prompts.

    Args:
        wants: what all have waiting.
        read: whether it is the turn of the prompts, if there are both.
    """
    both = len({want.writing for want in wants if want.count}) == 2
    return [want for want in wants if not both or want.writing != read]


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many tokens *left* and *right* begin with together.

    Halves the range and compares slices, which is done in C: microseconds for thousands.
    """
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
