"""How many threads a step is worth. Pure.

Threads wait for one another after every operation of llama.cpp. With little to do in each, waiting
is what they mostly do, and where another program has taken a core, all of them stand still for as
long. So a thread is for a share of the weights that takes some microseconds to go through.
"""

from __future__ import annotations

from dataclasses import dataclass

MATRICES = 7
"""Multiplications with weights in a layer of most models: query, key, value, output, three more."""
_SHARE = 64 * 1024
"""Bytes of weights that are worth a thread; some 5 microseconds."""
_ROWS = 96
"""Rows from which on more of them are worth more threads."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The threads of a model.

    Attributes:
        most: how many there are.
        matrix: bytes of weights in one multiplication, on average.
    """

    most: int
    matrix: int

    @property
    def one(self) -> int:
        """How many threads compute one row."""
        return self.threads(1)

    def threads(self, rows: int) -> int:
        """Return how many threads compute a step of *rows* rows, at least 1."""
        work = self.matrix * max(1.0, rows / _ROWS)
        return max(1, min(self.most, int(work / _SHARE)))
