"""What is left out where there are more tokens than room.

Functions of numbers; the loop carries out what they say and counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

ENDLESS = 10
"""An answer without a bound ends after as many contexts, as Ollama has it."""
REPEATS = 30
"""So often may one token come again before Ollama ends the answer: it would go on for ever."""
_LEAST = 2
"""Tokens that are not kept at least, so that something can go."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of tokens to leave out."""

    start: int
    count: int

    def cut(self, tokens: list[int]) -> list[int]:
        """Return *tokens* without the run."""
        return tokens[: self.start] + tokens[self.start + self.count :]


def plan_shift(held: int, *, num_keep: int, prompt: int) -> Gap:
    """Return what goes when *held* tokens fill the context: half of what need not be kept."""
    keep = _kept(num_keep, prompt, held - _LEAST)
    return Gap(keep, max(1, (held - keep) // 2))


def plan_truncation(count: int, *, n_ctx: int, num_keep: int, num_predict: int) -> Gap:
    """Return what goes of a prompt of *count* tokens; nothing where it fits.

    The newest tokens stay, and room for the answer: as much as it may have, or a quarter of the
    context if that is less.
    """
    if count < n_ctx:
        return Gap(0, 0)
    quarter = max(1, n_ctx // 4)
    room = min(num_predict, quarter) if num_predict > 0 else quarter
    fits = n_ctx - room
    return Gap(_kept(num_keep, count, fits - 1), count - fits)


def _kept(num_keep: int, prompt: int, most: int) -> int:
    wanted = num_keep if num_keep >= 0 else prompt
    return max(0, min(wanted, most))
