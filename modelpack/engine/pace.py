"""How many prompt tokens a step may have while somebody waits for the next token of an answer.

A step with many prompt tokens is a pause for all who are being answered. How long steps take here
is known from those before, so that the pause can be kept in proportion. Pure.
"""

from __future__ import annotations

LONGEST = 2.5
"""How long somebody may wait for a token, in steps among others that only write."""
_SWITCH = 1.5
"""How much longer a step that writes may take for coming after one that reads."""
_UNKNOWN = 16
"""Prompt tokens beside others while nothing was measured."""
_LEAST = 4
"""Prompt tokens that every step has room for, so that a prompt is read in the end."""
_NEWEST = 0.3
"""What the newest measurement counts for."""
_GROWTH = 1.5
"""How much larger a share may be than the last one: a few tokens say little about many."""


class Pace:
    """What steps have taken so far."""

    def __init__(self) -> None:
        self._writing_s = 0.0
        self._switched_s = 0.0
        """How long steps that write take after one that reads; they are laid out anew."""
        self._reads = False
        self._reading_s = 0.0
        self._last = _UNKNOWN

    def took(self, seconds: float, *, writing: int, reading: int, beside: bool) -> None:
        """Take note of a step of *seconds* with *writing* answers and *reading* prompt tokens.

        *beside* says whether prompts were read while somebody was being answered.
        """
        after, self._reads = self._reads, reading > 0 and not writing
        if writing and not reading:
            if after:
                self._switched_s = _mixed(self._switched_s, seconds)
            else:
                self._writing_s = _mixed(self._writing_s, seconds)
        elif reading:
            rest = seconds - self._writing_s if writing else seconds
            self._reading_s = _mixed(self._reading_s, max(rest, 0.0) / reading)
            if beside:
                self._last = reading

    def room(self, most: int) -> int:
        """Return how many prompt tokens, at most *most*, fit in beside answers."""
        writing_s = max(self._writing_s, self._switched_s / _SWITCH)
        if not writing_s or not self._reading_s:
            return min(_UNKNOWN, most)
        spare = (LONGEST * writing_s - max(writing_s, self._switched_s)) / self._reading_s
        return max(min(int(spare), int(self._last * _GROWTH) + 1, most), min(_LEAST, most))


def _mixed(before: float, now: float) -> float:
    """Return the running mean; one step that took long for another reason hardly counts."""
    if not before:
        return now
    return before + _NEWEST * (min(now, 2 * before) - before)
