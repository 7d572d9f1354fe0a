"""Pictures among tokens: numbers below zero stand where what is computed is no token. Pure.

A picture is a run of as many numbers as it takes of the context: one that begins it, and others.
The same picture has the same numbers, so that what two prompts begin with together is found by
comparing numbers. A run is computed, kept and forgotten as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence


def run_of(number: int, count: int) -> list[int]:
    """Return the run of the picture *number*, from 0, that takes *count* tokens."""
    return [-2 * number - 1] + [-2 * number - 2] * (count - 1)


def number_of(token: int) -> int:
    """Return which picture it is that *token* stands for."""
    return (-token - 1) // 2


def is_media(token: int) -> bool:
    """Tell whether *token* is no token."""
    return token < 0


def whole(tokens: Sequence[int], count: int) -> int:
    """Return how many of the first *count* of *tokens* there are without half a picture."""
    while 0 < count < len(tokens) and _goes_on(tokens[count]):
        count -= 1
    return count


def run_length(tokens: Sequence[int]) -> int:
    """Return how long the run is that *tokens* begin with: one picture, or all up to the next."""
    length = len(tokens)
    if tokens[0] >= 0:
        return next((at for at, token in enumerate(tokens) if token < 0), length)
    return next((at for at in range(1, length) if not _goes_on(tokens[at])), length)


def without_media(tokens: Sequence[int]) -> list[int]:
    """Return *tokens* that are tokens."""
    return [token for token in tokens if token >= 0]


def _goes_on(token: int) -> bool:
    return token < 0 and token % 2 == 0
