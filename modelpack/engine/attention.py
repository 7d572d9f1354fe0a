"""Which way of computing attention is the faster one here. Pure.

Flash attention is made for GPUs. On processors llama.cpp's is several times slower as soon as there
is some context: reading 40 tokens behind 900 took 28.3 ms instead of 2.7 with a model of 0.9
million parameters, and 186 instead of 100 with one of 0.5 billion. Plain attention holds the scores
of all heads at once, so it is for contexts that are not too long, and with fewer rows in a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack.engine.batch import PROMPT_CHUNK_CPU
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions

PLAIN_UP_TO = 16_384
"""Tokens of context up to which scores are held at once."""


def is_flash(options: LoadOptions, n_ctx: int, *, on_gpu: bool) -> bool:
    """Tell whether flash attention is for a model loaded with *options*, or plain attention.

    Where nothing is said and this is True, llama.cpp has the last word.

    Raises:
        InputError: keys and values of this type cannot do without, and it is turned off.
    """
    small = options.kv_cache_type != "f16"
    if options.flash_attention == "off":
        if small:
            raise InputError(
                f"a cache of the type {options.kv_cache_type} needs flash attention",
                hint="turn it on, or take the type f16",
            )
        return False
    return options.flash_attention == "on" or small or on_gpu or n_ctx > PLAIN_UP_TO


def rows_of(n_ubatch: int, *, flash: bool) -> int:
    """Return how many rows are computed at once."""
    return n_ubatch if flash else min(n_ubatch, PROMPT_CHUNK_CPU)
