"""How likely the model itself found each token: the logarithms of a softmax over its logits.

Taken before the chain, as llama-server and so Ollama report them: no temperature, penalty, bias or
grammar is in them. Sums are made in 32 bits, by pairs.

Rows of a small vocabulary are kept and measured together: right behind a step of a tiny model,
which has emptied the caches, one alone takes five times as long.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from modelpack.engine.likely import Likely
from modelpack.engine.shortlist import WORTHWHILE, Array, Best

_ROOM = 64 * 1024
"""Logits that are kept; a row that is longer is measured at once."""


class Logprobs:
    """Measures rows of logits, and tells the *top* likeliest tokens of each."""

    def __init__(self, top: int, vocabulary_size: int) -> None:
        self._numpy = numpy = importlib.import_module("numpy")
        self._top = top
        self._best = Best(max(1, top))
        self._most = max(1, _ROOM // vocabulary_size) if vocabulary_size < WORTHWHILE else 1
        self._weights = numpy.empty((self._most, vocabulary_size), "f4")
        self._rows: Array = numpy.empty_like(self._weights) if self._most > 1 else None
        self._tokens: list[int] = []
        self._measured: list[Likely] = []

    def note(self, logits: Array) -> None:
        """Take note of a row; one of a large vocabulary must not change before `chose`."""
        if self._most > 1:
            self._rows[len(self._tokens)] = logits
        else:
            self._rows = logits[None]

    def chose(self, token: int) -> None:
        """Take note of the token that was chosen after the row noted last."""
        self._tokens.append(token)
        if len(self._tokens) == self._most:
            self._measure()

    def take(self) -> list[Likely]:
        """Return how likely the tokens were that were chosen since the last time."""
        if self._tokens:
            self._measure()
        measured, self._measured = self._measured, []
        return measured

    def _measure(self) -> None:
        numpy, tokens, self._tokens = self._numpy, self._tokens, []
        count = len(tokens)
        rows, weights = self._rows[:count], self._weights[:count]
        largest = rows.max(1)
        numpy.subtract(rows, largest[:, None], out=weights)
        numpy.exp(weights, out=weights)
        norms = numpy.log(weights.sum(1), dtype="f8") + largest
        chosen = numpy.fmin(rows[numpy.arange(count), tokens] - norms, 0.0).tolist()
        if not self._top:
            self._measured += map(Likely, chosen)
            return
        for logprob, (found, values) in zip(
            chosen, self._likeliest(rows, largest, norms), strict=True
        ):
            self._measured.append(Likely(logprob, found, values))

    def _likeliest(
        self, rows: Array, largest: Array, norms: Array
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Yield the likeliest tokens of each row and the logarithms of their probabilities."""
        numpy = self._numpy
        at, found = self._find(rows, largest)
        values = rows[at, found]
        order = numpy.lexsort((-values, at))  # of equals the first one is first
        tokens = found[order].tolist()
        logprobs = numpy.fmin(values - norms[at], 0.0)[order].tolist()
        first = 0
        for count in numpy.bincount(at, minlength=len(rows)).tolist():
            end = first + min(count, self._top)
            yield tokens[first:end], logprobs[first:end]
            first += count

    def _find(self, rows: Array, largest: Array) -> tuple[Array, Array]:
        """Return rows and tokens of the largest logits, or somewhat more of them."""
        numpy, size = self._numpy, rows.shape[1]
        if self._most == 1:
            found = self._best.find(rows[0], largest[0])
            return numpy.zeros(len(found), "i8"), found
        least = numpy.partition(rows, size - self._top, axis=1)[:, size - self._top]
        places = numpy.flatnonzero(rows >= least[:, None])
        return places // size, places % size
