"""A model's context in llama.cpp: one batch computed, slots trimmed, tokens chosen.

Takes the library from `modelpack.engine.llamacpp`, which owns it. One thread uses a decoder.
"""

from __future__ import annotations

import ctypes
from array import array
from typing import TYPE_CHECKING

from modelpack.engine.bystanders import waiting_of
from modelpack.engine.media import is_media, number_of, without_media
from modelpack.engine.sampler import LlamaSampler, Rows, build_sampler
from modelpack.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from modelpack.engine.base import Chunk, Outcome, Request
    from modelpack.engine.constraint import Constraints
    from modelpack.engine.crew import Crew
    from modelpack.engine.vision import Vision
    from modelpack.engine.vocabulary import Handle

_NO_ROOM = 1
_ABORTED = 2


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


class StopSign:
    """Breaks off a step between two of its operations, on devices that look at it (processors).

    llama.cpp calls a function to ask. One of Python's would wait for the interpreter each time, so
    it is C's `strlen`: of a text that is empty, or has one character.
    """

    def __init__(self, library: ModuleType, context: Handle) -> None:
        self._text = ctypes.create_string_buffer(2)
        try:
            length = ctypes.CDLL(None).strlen
        except (AttributeError, OSError, TypeError):  # no such library: steps run to their end
            return
        function = ctypes.cast(length, library.ggml_abort_callback)
        library.llama_set_abort_callback(context, function, ctypes.addressof(self._text))

    def raise_(self) -> None:
        """Break off the step being computed."""
        self._text[0] = b"1"

    @property
    def is_raised(self) -> bool:
        """Whether steps are to be broken off."""
        return self._text[0] != b"\0"

    def lower(self) -> None:
        """Let the next step be computed."""
        self._text[0] = b"\0"


class LlamaDecoder:
    """A `Decoder` over one llama.cpp context."""

    def __init__(
        self,
        library: ModuleType,
        context: Handle,
        constraints: Constraints,
        *,
        model: Handle,
        crew: Crew,
        vision: Vision | None = None,
    ) -> None:
        self._library = library
        self._crew = crew
        self._threads = crew.most
        self._context = context
        self._constraints = constraints
        self._memory = library.llama_get_memory(context)
        self._window = int(library.llama_model_n_swa(model))
        vocabulary = library.llama_model_get_vocab(model)
        self._logits = Rows(library, context, int(library.llama_vocab_n_tokens(vocabulary)))
        self._n_ctx = int(library.llama_n_ctx_seq(context))
        self._decode = library.llama_decode
        self._rows = int(library.llama_n_batch(context))
        self._batch = Batch(library, self._rows)
        self._stop = StopSign(library, context)
        self._waiting = waiting_of(library)
        self._vision = vision
        self._gaps: dict[int, list[tuple[int, int]]] = {}
        """Where each slot has a picture, and how many fewer positions than tokens it takes."""
        self._closed = False

    def close(self) -> None:
        """Compute nothing any more; called before the context is freed."""
        self._closed = True

    def decode(self, chunks: Sequence[Chunk]) -> Outcome:
        """Compute one step.

        Raises:
            EngineError: the computation failed; what the slots in it hold is not known.
        """
        if self._closed:
            raise EngineError("the model was unloaded while it answered")
        if is_media(chunks[0].tokens[0]):
            return self._show(chunks[0])
        if self._gaps:
            chunks = [c._replace(start=self._position(c.slot, c.start)) for c in chunks]
        self._batch.fill(chunks)
        threads = self._crew.threads(self._batch.value.n_tokens)
        if threads != self._threads:
            self._library.llama_set_n_threads(self._context, self._crew.one, threads)
            self._threads = threads
        status = self._decode(self._context, self._batch.value)
        self._stop.lower()
        if self._waiting is not None:
            self._waiting.stepped()
        if status == _NO_ROOM:
            return "full"
        if status == _ABORTED:
            return "aborted"
        if status:
            raise EngineError(f"llama.cpp could not compute the next step (status {status})")
        return "done"

    def abort(self) -> None:
        """Break off the step being computed, soon; any thread may ask for it."""
        self._stop.raise_()

    def keep(self, slot: int, count: int) -> int:
        """Forget *slot* from position *count* on; return how much of it stays: *count* or 0."""
        if self._closed:
            return 0
        library, memory = self._library, self._memory
        position = self._position(slot, count)
        self._forget_pictures(slot, count)
        possible = count > 0 and self._reaches_back(slot, position)
        if possible and library.llama_memory_seq_rm(memory, slot, position, -1):
            return count
        self._gaps.pop(slot, None)
        library.llama_memory_seq_rm(memory, slot, -1, -1)  # a whole sequence is never refused
        return 0

    def shift(self, slot: int, keep: int, drop: int) -> bool:
        """Forget *drop* tokens after the first *keep* and move the rest up, if that is possible."""
        library, memory = self._library, self._memory
        if self._closed or not library.llama_memory_can_shift(memory):
            return False
        if not library.llama_memory_seq_rm(memory, slot, keep, keep + drop):
            return False
        library.llama_memory_seq_add(memory, slot, keep + drop, -1, -drop)
        return True

    def sampler(self, request: Request, prompt: Sequence[int]) -> LlamaSampler:
        """Return a sampler for an answer to *prompt*.

        Raises:
            InputError: the grammar or the options make no sense for this model.
            MissingExtraError: grammars need a library that is not installed.
        """
        grammar, n_ctx = request.grammar, self._n_ctx
        constraint = None
        if grammar is not None:
            constraint = self._constraints.constraint(grammar, request.compiled)
        sampler = build_sampler(
            self._library,
            self._context,
            request,
            constraint,
            n_ctx=n_ctx,
            rows=self._logits,
        )
        last = request.sampling.looks_back(n_ctx)
        sampler.accept(without_media(prompt[-last:]) if last else ())
        return sampler

    def _show(self, chunk: Chunk) -> Outcome:
        """Compute a picture, which is all of *chunk*."""
        media = None if self._vision is None else self._vision.media(number_of(chunk.tokens[0]))
        if media is None or self._vision is None:
            raise EngineError("an image was forgotten before it was looked at")
        library, slot = self._library, chunk.slot
        position = self._position(slot, chunk.start)
        shown = self._vision.show(self._context, media, position, slot, self._rows)
        aborted = self._stop.is_raised
        self._stop.lower()
        if shown:
            if media.n_tokens > media.n_pos:
                gap = (chunk.start, media.n_tokens - media.n_pos)
                self._gaps.setdefault(slot, []).append(gap)
            return "done"
        if not library.llama_memory_seq_rm(self._memory, slot, position, -1):
            raise EngineError("llama.cpp could not look at an image")
        return "aborted" if aborted else "full"

    def _position(self, slot: int, index: int) -> int:
        """Return the position of the token *index* of *slot*."""
        gaps = self._gaps.get(slot)
        return index - sum(less for at, less in gaps if at < index) if gaps else index

    def _forget_pictures(self, slot: int, count: int) -> None:
        gaps = [gap for gap in self._gaps.pop(slot, ()) if gap[0] < count]
        if gaps:
            self._gaps[slot] = gaps

    def _reaches_back(self, slot: int, count: int) -> bool:
        """Tell whether memory still has what the token at *count* attends to.

        A sliding window lets go of older positions; after a cut they would be missing.
        """
        oldest = int(self._library.llama_memory_seq_pos_min(self._memory, slot))
        return 0 <= oldest <= max(0, count - self._window)
