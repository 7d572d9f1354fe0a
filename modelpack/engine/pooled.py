"""A context of llama.cpp that gives one vector for each text.

It keeps nothing between two steps, and all tokens of a text are in the same one. Whatever has a
vector in it has a distribution over all tokens too if the model can write, 600 KB each in a large
vocabulary. So where only the last token's vector is wanted, the others of the text are computed
without either.

numpy comes with llama-cpp-python; it is imported by name, because type checks run without it.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modelpack.engine import llamacpp
from modelpack.engine.base import CONTEXT, Chunk
from modelpack.engine.bystanders import waiting_of
from modelpack.engine.decoder import Batch
from modelpack.engine.loading import metadata_of
from modelpack.engine.purpose import LAST_RANKS, RANK, pooling_of
from modelpack.errors import EngineError

if TYPE_CHECKING:
    from types import ModuleType

    from modelpack.engine.base import LoadOptions
    from modelpack.engine.vocabulary import Handle

Array: TypeAlias = Any
"""Of numpy's."""
Pooling: TypeAlias = Literal["mean", "cls", "last", "rank"]
"""What becomes of the vectors of a text's tokens."""

TOGETHER = 16
"""Texts of one step."""
ROOM = 512
"""Tokens of one step, unless it is of one text. More of them make each other slower."""

_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
_EXACT = 1024
"""Tokens up to which encoders compare each with each in single precision, at 4 bytes a head."""
_LEAST = 8
"""Tokens of the smallest context."""


class PooledContext:
    """Computes texts of up to `n_ctx` tokens with *model*; one thread uses it.

    Raises:
        EngineError: there is no memory for it, or the model makes no vectors.
    """

    def __init__(self, library: ModuleType, model: Handle, options: LoadOptions) -> None:
        self._library = library
        self._numpy = importlib.import_module("numpy")
        self._model = model
        self._context: Handle | None = None
        self._waiting = waiting_of(library)
        self._decode = self._choose_decode()
        trained = int(library.llama_model_n_ctx_train(model)) or CONTEXT
        self.n_ctx = max(_LEAST, min(options.n_ctx or CONTEXT, trained))
        """Tokens of the longest text."""
        stateful = "llama_model_is_recurrent", "llama_model_is_hybrid"
        alone = any(getattr(library, name)(model) for name in stateful)
        self.most = 1 if alone else TOGETHER
        """Texts of one step."""
        kind, causal = pooling_of(partial(metadata_of, library, model))
        self.pooling = _POOLINGS[kind]
        """How texts become vectors: what the model says, else `last` (`mean` for encoders)."""
        outputs = "llama_model_n_cls_out" if self.pooling == "rank" else "llama_model_n_embd_out"
        self.width = int(getattr(library, outputs)(model))
        """Numbers of a vector, or scores of a pair."""
        ranks_last = (
            kind == RANK and metadata_of(library, model, "general.architecture") in LAST_RANKS
        )
        self._in_two = ranks_last or (causal and self.pooling == "last")
        self._rows = max(self.n_ctx, ROOM)
        self._batch = Batch(library, self._rows)
        self._context = self._make(options, kind, causal=causal)
        try:
            llamacpp.adapt(library, model, self._context, options)
        except BaseException:
            self.close()
            raise

    def compute(self, texts: Sequence[Sequence[int]]) -> Array:
        """Return an array with a row for each of *texts*, given as tokens.

        Raises:
            EngineError: computing failed.
        """
        library, context = self._library, self._context
        if context is None:
            raise EngineError("the model was unloaded while it made vectors")
        memory = library.llama_get_memory(context)
        if memory:
            library.llama_memory_clear(memory, True)
        ends = [len(text) - 1 if self._in_two else 0 for text in texts]
        before = [
            Chunk(slot, 0, text[:end], False)
            for slot, (end, text) in enumerate(zip(ends, texts, strict=True))
            if end
        ]
        if before:
            library.llama_set_embeddings(context, False)
            try:
                self._step(before)
            finally:
                library.llama_set_embeddings(context, True)
        rest = zip(ends, texts, strict=True)
        self._step([Chunk(slot, end, text[end:], True) for slot, (end, text) in enumerate(rest)])
        found = self._numpy.stack([self._vector(slot) for slot in range(len(texts))])
        if not self._numpy.isfinite(found).all():
            raise EngineError("the model gave a vector with numbers that are none")
        return found

    def close(self) -> None:
        """Free it; a second time does nothing."""
        context, self._context = self._context, None
        if context is not None:
            self._library.llama_free(context)

    def _choose_decode(self) -> Any:  # noqa: ANN401 - a function of the library
        library = self._library
        if not library.llama_model_has_encoder(self._model):
            return library.llama_decode
        if library.llama_model_has_decoder(self._model):
            raise EngineError("a model for translation makes no vectors")
        return library.llama_encode

    def _make(self, options: LoadOptions, pooling: int, *, causal: bool) -> Handle:
        library = self._library
        params = library.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = self._rows
        if self._in_two:
            params.n_ubatch = ROOM
        params.n_seq_max = self.most
        params.n_threads = params.n_threads_batch = options.threads
        exact = not causal and self._rows <= _EXACT
        flash = "DISABLED" if exact else "AUTO"
        params.flash_attn_type = getattr(library, f"LLAMA_FLASH_ATTN_TYPE_{flash}")
        params.embeddings = True
        params.pooling_type = pooling
        params.kv_unified = True
        params.no_perf = True
        context: Handle | None = library.llama_init_from_model(self._model, params)
        if context is None:
            raise EngineError(
                f"cannot make a context for texts of {self.n_ctx:,} tokens",
                hint="lower the parameter num_ctx",
            )
        return context

    def _step(self, chunks: Sequence[Chunk]) -> None:
        self._batch.fill(chunks)
        if chunks[0].output:
            ctypes.memset(self._batch.value.logits, 1, self._batch.value.n_tokens)
        status = self._decode(self._context, self._batch.value)
        if self._waiting is not None:
            self._waiting.stepped()
        if status:
            raise EngineError(f"llama.cpp could not compute the vectors (status {status})")

    def _vector(self, slot: int) -> Array:
        """Return what the library shows of *slot* until the next step."""
        pointer = self._library.llama_get_embeddings_seq(self._context, slot)
        if not pointer:
            raise EngineError("llama.cpp gave no vector")
        return self._numpy.ctypeslib.as_array(pointer, (self.width,))
