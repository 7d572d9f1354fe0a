"""Which way of computing attention is for a model. Pure.

Flash attention is made for GPUs. On processors the plain way gives a row the same numbers whatever
is computed beside it, as long as the weights are quantized, and reads faster behind a long context:
16 tokens behind 1,000 take 148 ms instead of 245 with a model of 0.5 billion parameters. It looks
at all the room that a conversation has got so far, 256 tokens at a time, where flash attention
looks at what is there: eight answers at once behind 16 tokens cost 2.1 ms instead of 0.7 with a
model of 0.9 million parameters. What kernels for weights that are not quantized give depends on how
many rows there are, either way, so there the shorter time decides.

Plain attention holds the scores of all heads at once, so it is for contexts that are not too long,
and with fewer rows in a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack.engine.batch import PROMPT_CHUNK_CPU
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions

PLAIN_UP_TO = 16_384
"""Tokens of context up to which scores are held at once."""
SHORT = 4_096
"""Tokens of context up to which flash attention loses less in reading than it gains in writing."""
FLOATS = frozenset({"0", "1", "32"})
"""`general.file_type` of GGUFs whose weights are F32, F16 and BF16."""


def is_flash(options: LoadOptions, n_ctx: int, *, on_gpu: bool, file_type: str = "") -> bool:
    """Tell whether flash attention is for a model loaded with *options*, or plain attention.

    Where nothing is said and this is True, llama.cpp has the last word.

    Args:
        options: how it is loaded.
        n_ctx: tokens of context of one slot.
        on_gpu: whether a GPU may compute it.
        file_type: `general.file_type` of the GGUF, if it says so.

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
    if options.flash_attention == "on" or small or on_gpu or n_ctx > PLAIN_UP_TO:
        return True
    return file_type in FLOATS and n_ctx <= SHORT


def rows_of(n_ubatch: int, *, flash: bool) -> int:
    """Return how many rows are computed at once."""
    return n_ubatch if flash else min(n_ubatch, PROMPT_CHUNK_CPU)
