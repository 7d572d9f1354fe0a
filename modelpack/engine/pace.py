"""How many prompt tokens a step may have while somebody waits for the next token of an answer.

A step with many prompt tokens is a pause for all who are being answered. How long steps take here
is known from those before, so that the pause can be kept in proportion. Many tokens at once take
half the time of as many in small pieces, so that a short prompt is read whole, in one pause that
hardly anybody notices; in pieces it would slow all answers down for longer. Pure.
"""

from __future__ import annotations

LONGEST = 2.5
"""How long somebody may wait for a token, in steps among others that only write.

Every prompt that waits behind the first counts twice against the answers being written: if one
answer made seven others wait to begin, all would be read slowly and written one by one.
"""
BRIEF = 128
"""Tokens that a short prompt has to be read, at most."""
PAUSE_S = 0.5
"""How long reading short prompts may take in one step."""
_SWITCH = 1.5
"""How much longer a step that writes may take for coming after one that reads."""
_UNKNOWN = 16
"""Prompt tokens beside others while nothing was measured."""
_LEAST = 4
"""Prompt tokens that every step has room for, so that a prompt is read in the end."""
_NEWEST = 0.3
"""What the newest measurement counts for."""
_GROWTH = 1.5
"""How much larger a share may be than the largest one: a few tokens say little about many."""


class Pace:
    """What steps have taken so far."""

    def __init__(self) -> None:
        self._writing_s: dict[int, float] = {}
        """How long steps that write take, by the number of answers."""
        self._switched_s = 0.0
        """How long steps that write take after one that reads; they are laid out anew."""
        self._reads = False
        self._reading_s = 0.0
        self._largest = _UNKNOWN

    def took(self, seconds: float, *, writing: int, reading: int, beside: bool) -> None:
        """Take note of a step of *seconds* with *writing* answers and *reading* further tokens.

        Those are of prompts, and of what a grammar adds to an answer.

        *beside* says whether prompts were read while somebody was being answered.
        """
        after, self._reads = self._reads, reading > 0 and not writing
        if writing and not reading:
            if after:
                self._switched_s = _mixed(self._switched_s, seconds)
            else:
                self._writing_s[writing] = _mixed(self._writing_s.get(writing, 0.0), seconds)
        elif reading:
            rest = seconds - self._writing(writing) if writing else seconds
            self._reading_s = _mixed(self._reading_s, max(rest, 0.0) / reading)
            if beside:
                self._largest = max(self._largest, reading)

    def room(self, most: int, *, writers: int = 1, readers: int = 1, brief: int = 0) -> int:
        """Return how many prompt tokens fit in beside answers.

        Args:
            most: how many there are at most.
            writers: answers that are being written.
            readers: prompts that wait to be read.
            brief: tokens of short prompts among them, which are read before the others.
        """
        writing_s = max(self._writing(writers), self._switched_s / _SWITCH)
        if not writing_s or not self._reading_s:
            return min(_UNKNOWN, most)
        longest = LONGEST * max(1.0, (2 * readers - 1) / max(1, writers))
        spare = (longest * writing_s - max(writing_s, self._switched_s)) / self._reading_s
        held = max(min(int(spare), int(self._largest * _GROWTH) + 1), _LEAST)
        return min(held + min(brief, int(PAUSE_S / self._reading_s)), most)

    def _writing(self, answers: int) -> float:
        """Return how long a step takes that writes so many *answers*, between what was measured."""
        known = self._writing_s
        if answers in known or not known:
            return known.get(answers, 0.0)
        fewer = max((n for n in known if n < answers), default=0)
        more = min((n for n in known if n > answers), default=0)
        if not fewer or not more:
            return known[fewer or more]
        part = (answers - fewer) / (more - fewer)
        return known[fewer] + part * (known[more] - known[fewer])


def _mixed(before: float, now: float) -> float:
    """Return the running mean; one step that took long for another reason hardly counts."""
    if not before:
        return now
    return before + _NEWEST * (min(now, 2 * before) - before)
