"""How likely the model itself found each token: the logarithms of a softmax over its logits.

Taken before the chain, as llama-server and so Ollama report them: no temperature, penalty, bias or
grammar is in them. Sums are made in 32 bits, by pairs.
"""

from __future__ import annotations

import importlib
import math

from modelpack.engine.shortlist import Array, Best


class Logprobs:
    """Measures rows of logits, and tells the *top* likeliest tokens of each."""

    def __init__(self, top: int, vocabulary_size: int) -> None:
        self._numpy = importlib.import_module("numpy")
        self._top = top
        self._best = Best(max(1, top))
        self._weights = self._numpy.empty(vocabulary_size, "f4")

    def measure(self, logits: Array) -> tuple[float, tuple[tuple[int, float], ...]]:
        """Return what to take from a logit to make it a log-probability, and the likeliest."""
        numpy, weights = self._numpy, self._weights
        largest = logits.max()
        numpy.subtract(logits, largest, out=weights)
        numpy.exp(weights, out=weights)
        norm = float(largest) + math.log(float(weights.sum()))
        if not self._top:
            return norm, ()
        found = self._best.find(logits, largest)
        values = logits[found]
        order = (-values).argsort(kind="stable")[: self._top]
        likeliest = zip(found[order].tolist(), values[order].tolist(), strict=True)
        return norm, tuple([(token, min(0.0, value - norm)) for token, value in likeliest])
