"""Which way of computing attention is the faster one here. Pure.

Flash attention is made for GPUs. On processors llama.cpp's is several times slower as soon as there
is some context: reading 40 tokens behind 900 took 28.3 ms instead of 2.7 with a model of 0.9
million parameters, and 186 instead of 100 with one of 0.5 billion. Plain attention holds the scores
of all heads at once, so it is for contexts that are not too long, and with fewer rows in a step.
"""

from __future__ import annotations

from modelpack.engine.batch import PROMPT_CHUNK_CPU

PLAIN_UP_TO = 16_384
"""Tokens of context up to which scores are held at once."""


def is_flash(n_ctx: int, *, on_gpu: bool) -> bool:
    """Tell whether flash attention is left to llama.cpp's choice, or plain attention wanted."""
    return on_gpu or n_ctx > PLAIN_UP_TO


def rows_of(n_ubatch: int, *, flash: bool) -> int:
    """Return how many rows are computed at once."""
    return n_ubatch if flash else min(n_ubatch, PROMPT_CHUNK_CPU)
