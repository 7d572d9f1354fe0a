"""A model's context in llama.cpp: one batch computed, slots trimmed, tokens chosen.

Takes the library from `modelpack.engine.llamacpp`, which owns it. One thread uses a decoder.
"""

from __future__ import annotations

import ctypes
from array import array
from typing import TYPE_CHECKING

from modelpack.engine.sampling import Sampling, Stage, count_candidates, plan_chain
from modelpack.engine.shortlist import WORTHWHILE, Shortlist
from modelpack.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from modelpack.engine.base import Chunk
    from modelpack.engine.vocabulary import Handle

_NO_ROOM = 1
_SPARSE = 64
"""A shortlist is worth it in a vocabulary this many times as large."""
_FILTERS = {
    "top_k": "llama_sampler_init_top_k",
    "temp": "llama_sampler_init_temp",
    "dist": "llama_sampler_init_dist",
    "greedy": "llama_sampler_init_greedy",
}
_FILTERS_OF_MASS = {
    "typical": "llama_sampler_init_typical",
    "top_p": "llama_sampler_init_top_p",
    "min_p": "llama_sampler_init_min_p",
}


class Batch:
    """The arrays of one step, allocated once and filled by copying memory."""

    def __init__(self, library: ModuleType, rows: int) -> None:
        self._tokens = (ctypes.c_int32 * rows)()
        self._positions = (ctypes.c_int32 * rows)()
        self._slots = (ctypes.c_int32 * rows)()
        self._outputs = (ctypes.c_int8 * rows)()
        self._ones = (ctypes.c_int32 * rows)(*([1] * rows))
        pointer = ctypes.POINTER(ctypes.c_int32)
        first, width = ctypes.addressof(self._slots), ctypes.sizeof(ctypes.c_int32)
        self._pointers = (pointer * rows)(
            *(ctypes.cast(first + width * row, pointer) for row in range(rows))
        )
        self.value = library.llama_batch(
            0, self._tokens, None, self._positions, self._ones, self._pointers, self._outputs
        )
        views = (
            memoryview(part).cast("B") for part in (self._tokens, self._positions, self._slots)
        )
        self._token_view, self._position_view, self._slot_view = (view.cast("i") for view in views)

    def fill(self, chunks: Sequence[Chunk]) -> None:
        """Put *chunks* in, one after another."""
        row = 0
        for chunk in chunks:
            count = len(chunk.tokens)
            end = row + count
            if count == 1:  # every step of every answer
                self._tokens[row] = chunk.tokens[0]
                self._positions[row] = chunk.start
                self._slots[row] = chunk.slot
            else:
                positions = range(chunk.start, chunk.start + count)
                self._token_view[row:end] = memoryview(array("i", chunk.tokens))
                self._position_view[row:end] = memoryview(array("i", positions))
                self._slot_view[row:end] = memoryview(array("i", [chunk.slot]) * count)
                ctypes.memset(ctypes.addressof(self._outputs) + row, 0, count)
            self._outputs[end - 1] = chunk.output
            row = end
        self.value.n_tokens = row


class LlamaDecoder:
    """A `Decoder` over one llama.cpp context."""

    def __init__(self, library: ModuleType, context: Handle, *, model: Handle, rows: int) -> None:
        self._library = library
        self._context = context
        self._memory = library.llama_get_memory(context)
        self._window = int(library.llama_model_n_swa(model))
        self._vocabulary_size = int(
            library.llama_vocab_n_tokens(library.llama_model_get_vocab(model))
        )
        self._n_ctx = int(library.llama_n_ctx_seq(context))
        self._decode = library.llama_decode
        self._batch = Batch(library, rows)
        self._closed = False

    def close(self) -> None:
        """Compute nothing any more; called before the context is freed."""
        self._closed = True

    def decode(self, chunks: Sequence[Chunk]) -> None:
        """Compute one step.

        Raises:
            EngineError: there is no room left, or the computation failed.
        """
        if self._closed:
            raise EngineError("the model was unloaded while it answered")
        self._batch.fill(chunks)
        status = self._decode(self._context, self._batch.value)
        if status == _NO_ROOM:
            raise EngineError(
                f"the context of {self._n_ctx:,} tokens is full",
                hint="raise the parameter num_ctx, or begin a new conversation",
            )
        if status:
            raise EngineError(f"llama.cpp could not compute the next step (status {status})")

    def keep(self, slot: int, count: int) -> int:
        """Forget *slot* from position *count* on; return how much of it stays: *count* or 0."""
        if self._closed:
            return 0
        library, memory = self._library, self._memory
        possible = count > 0 and self._reaches_back(slot, count)
        if possible and library.llama_memory_seq_rm(memory, slot, count, -1):
            return count
        library.llama_memory_seq_rm(memory, slot, -1, -1)  # a whole sequence is never refused
        return 0

    def sampler(self, sampling: Sampling, prompt: Sequence[int]) -> LlamaSampler:
        """Return a sampler for an answer to *prompt*."""
        chain = plan_chain(sampling, n_ctx=self._n_ctx)
        sampler = LlamaSampler(self._library, self._context, chain, self._vocabulary_size)
        count = count_candidates(sampling, n_ctx=self._n_ctx)
        if self._vocabulary_size >= max(WORTHWHILE, _SPARSE * count) and count > 0:
            sampler.shortlist = Shortlist(
                self._library, vocabulary_size=self._vocabulary_size, count=count
            )
        if sampling.penalizes:
            last = self._n_ctx if sampling.repeat_last_n < 0 else sampling.repeat_last_n
            sampler.accept(prompt[-last:])
        return sampler

    def _reaches_back(self, slot: int, count: int) -> bool:
        """Tell whether memory still has what the token at *count* attends to.

        A sliding window lets go of older positions; after a cut they would be missing.
        """
        oldest = int(self._library.llama_memory_seq_pos_min(self._memory, slot))
        return 0 <= oldest <= max(0, count - self._window)


class LlamaSampler:
    """A `Sampler`: llama.cpp's links in the order of the plan."""

    def __init__(
        self, library: ModuleType, context: Handle, chain: Sequence[Stage], vocabulary_size: int
    ) -> None:
        self._library = library
        self._context = context
        self._sample = library.llama_sampler_sample
        self.shortlist: Shortlist | None = None
        """What narrows the vocabulary down first, where that is faster."""
        self._chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
        for stage in chain:
            link = _link(library, stage, vocabulary_size)
            library.llama_sampler_chain_add(self._chain, link)

    def accept(self, tokens: Sequence[int]) -> None:
        """Take note of *tokens* that were not chosen here, for the penalties."""
        for token in tokens:
            self._library.llama_sampler_accept(self._chain, token)

    def sample(self, row: int) -> int:
        """Choose the token after *row* of the step just computed, and take note of it."""
        if self.shortlist is not None:
            token = self.shortlist.choose(self._chain, self._context, row)
            if token >= 0:
                self._library.llama_sampler_accept(self._chain, token)
                return token
        return int(self._sample(self._chain, self._context, row))

    def close(self) -> None:
        """Free the chain; a second time does nothing."""
        chain, self._chain = self._chain, None
        if chain is not None:
            self._library.llama_sampler_free(chain)


def _link(library: ModuleType, stage: Stage, vocabulary_size: int) -> Handle:
    if stage.name == "penalties":
        made: Handle = library.llama_sampler_init_penalties(vocabulary_size, *stage.arguments)
    elif stage.name in _FILTERS_OF_MASS:
        made = getattr(library, _FILTERS_OF_MASS[stage.name])(*stage.arguments, 1)
    else:
        made = getattr(library, _FILTERS[stage.name])(*stage.arguments)
    return made
