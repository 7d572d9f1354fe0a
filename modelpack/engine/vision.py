"""Pictures to what a model computes with: a projector in llama.cpp's `mtmd`.

Takes the libraries from `modelpack.engine.llamacpp`, which owns them. Any thread may look at
pictures, one at a time; what was seen lately is remembered by its digest.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelpack import limits
from modelpack.engine.media import run_of
from modelpack.engine.pictures import measure
from modelpack.engine.webp import bitmap_of, is_webp
from modelpack.errors import EngineError, InputError

if TYPE_CHECKING:
    from types import ModuleType

    from modelpack.engine.base import LoadOptions
    from modelpack.engine.loading import ErrorLines
    from modelpack.engine.vocabulary import Handle

_IMAGE = 1


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Media:
    """A picture, or a part of one, as the model computes with it."""

    number: int
    n_tokens: int
    """Tokens of context that it takes."""
    n_pos: int
    """Positions that it takes; fewer where a model counts them in two dimensions."""
    chunk: Handle
    embeddings: Any


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture becomes in a prompt."""

    tokens: tuple[int, ...]
    """Tokens, and runs of `modelpack.engine.media`."""
    media: tuple[Media, ...]

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return sum(ctypes.sizeof(media.embeddings) for media in self.media)


class Vision:
    """A projector, loaded for one model."""

    def __init__(
        self,
        library: ModuleType,
        model: Handle,
        options: LoadOptions,
        *,
        width: int,
        on_gpu: bool,
        errors: ErrorLines,
    ) -> None:
        self._library = library
        self._width = width
        self._errors = errors
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, Sight] = OrderedDict()
        self._size = 0
        self._numbers = 0
        self._known: weakref.WeakValueDictionary[int, Media] = weakref.WeakValueDictionary()
        path = options.projectors[0]
        if not path.is_file():
            raise EngineError(f"no such file: {str(path)!r}", hint="was the model removed?")
        self._no_callback = library.mtmd_helper_post_decode_callback()
        errors.hear(library.mtmd_helper_log_set)
        params = library.mtmd_context_params_default()
        params.use_gpu, params.n_threads = on_gpu, options.threads
        params.print_timings = params.warmup = False
        errors.clear()
        self._handle: Handle | None = library.mtmd_init_from_file(os.fsencode(path), model, params)
        if self._handle is None:
            raise EngineError(
                f"cannot load the projector {path.name!r}: {errors.cause}",
                hint="was it made for this very model?",
            )

    @property
    def sees(self) -> bool:
        """Whether it is for pictures."""
        return bool(self._library.mtmd_support_vision(self._handle))

    @property
    def is_causal(self) -> bool:
        """Whether a part of a picture sees only those before it; else one step has all of it."""
        return not self._library.mtmd_decode_use_non_causal(self._handle, None)

    def media(self, number: int) -> Media | None:
        """Return the picture *number*, as long as somebody has it."""
        return self._known.get(number)

    def see(self, data: bytes, *, most: int) -> Sight:
        """Return what the picture in the file *data* becomes, in *most* tokens at once at most.

        Raises:
            InputError: it is no picture, damaged or cut off.
            LimitError: it is too large.
            EngineError: the model cannot compute with it.
        """
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            if digest in self._seen:
                self._seen.move_to_end(digest)
                return self._seen[digest]
            measure(data)
            sight = self._look(bitmap_of(data) if is_webp(data) else data, most)
            self._seen[digest] = sight
            self._size += sight.size
            while self._size > limits.IMAGES_KEPT and len(self._seen) > 1:
                self._size -= self._seen.popitem(last=False)[1].size
            return sight

    def show(self, context: Handle, media: Media, position: int, slot: int, rows: int) -> bool:
        """Compute *media* at *position* of *slot*, *rows* at once; return whether that worked."""
        after = ctypes.c_int32()
        status = self._library.mtmd_helper_decode_image_chunk(
            self._handle, context, media.chunk, media.embeddings, position, slot,
            rows, ctypes.byref(after), self._no_callback, None,
        )  # fmt: skip
        return not status

    def close(self) -> None:
        """Free the projector; a second time does nothing."""
        with self._lock:
            self._seen.clear()
            handle, self._handle = self._handle, None
            if handle is not None:
                self._library.mtmd_free(handle)

    def _look(self, data: bytes, most: int) -> Sight:
        library = self._library
        if self._handle is None:
            raise EngineError("the model was unloaded while it answered")
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        bitmap = library.mtmd_helper_bitmap_init_from_buf(self._handle, buffer, len(data), False)
        if not bitmap:
            raise InputError("an image is damaged or cut off")
        chunks = library.mtmd_input_chunks_init()
        try:
            marker = library.mtmd_default_marker()
            text = library.mtmd_input_text(marker, len(marker), False, True)
            bitmaps = (ctypes.c_void_p * 1)(bitmap)
            if library.mtmd_tokenize(self._handle, chunks, ctypes.byref(text), bitmaps, 1):
                raise EngineError(f"the model cannot look at an image: {self._errors.cause}")
            count = int(library.mtmd_input_chunks_size(chunks))
            found = [library.mtmd_input_chunks_get(chunks, at) for at in range(count)]
            return self._taken(found, most)
        finally:
            library.mtmd_input_chunks_free(chunks)
            library.mtmd_bitmap_free(bitmap)

    def _taken(self, chunks: list[Handle], most: int) -> Sight:
        library = self._library
        tokens: list[int] = []
        seen: list[Media] = []
        for chunk in chunks:
            count = int(library.mtmd_input_chunk_get_n_tokens(chunk))
            if library.mtmd_input_chunk_get_type(chunk) != _IMAGE:
                length = ctypes.c_size_t()
                array = library.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(length))
                tokens += array[: length.value]
                continue
            if count > most:
                raise EngineError(f"an image takes {count:,} tokens, and {most:,} fit at once")
            media = self._encoded(chunk, count)
            tokens += run_of(media.number, count)
            seen.append(media)
        if not seen:
            raise EngineError("the model saw nothing in an image")
        return Sight(tuple(tokens), tuple(seen))

    def _encoded(self, chunk: Handle, count: int) -> Media:
        library = self._library
        self._errors.clear()
        if library.mtmd_encode_chunk(self._handle, chunk):
            raise EngineError(f"the model cannot look at an image: {self._errors.cause}")
        output = library.mtmd_get_output_embd(self._handle)
        embeddings = (ctypes.c_float * (count * self._width))()
        ctypes.memmove(embeddings, output, ctypes.sizeof(embeddings))
        copy = library.mtmd_input_chunk_copy(chunk)
        n_pos = int(library.mtmd_input_chunk_get_n_pos(chunk))
        media = Media(self._numbers, count, n_pos, copy, embeddings)
        weakref.finalize(media, library.mtmd_input_chunk_free, copy)
        self._known[self._numbers] = media
        self._numbers += 1
        return media
