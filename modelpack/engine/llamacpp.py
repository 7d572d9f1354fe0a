"""llama.cpp, through the bindings of llama-cpp-python: the only module that imports them.

Loads a model from the files it is given, under whatever names, and puts a `Loop` over it. The
bindings' own `Llama` class is not used. Structures and arrays handed to the library are kept in
variables until it is done with them, because ctypes does not keep them alive.

The library is imported when the first model is loaded; it costs a third of a second.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import TYPE_CHECKING

from modelpack.engine.attention import is_flash, rows_of
from modelpack.engine.base import LoadOptions, context_size
from modelpack.engine.batch import PROMPT_CHUNK, PROMPT_CHUNK_CPU
from modelpack.engine.closing import Closing
from modelpack.engine.constraint import Constraints
from modelpack.engine.crew import MATRICES, Crew
from modelpack.engine.decoder import LlamaDecoder
from modelpack.engine.loading import ErrorLines, Progress, apply_adapters, metadata_of, read_weights
from modelpack.engine.loop import Bounds, Loop
from modelpack.engine.telling import HOLD_S
from modelpack.engine.vision import Sight, Vision
from modelpack.engine.vocabulary import Handle, LlamaVocabulary
from modelpack.errors import EngineError, MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

_ERRORS = ErrorLines()
_GPU = 1
"""Of `ggml_backend_dev_type`."""
_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}
"""The numbers of `ggml_type`."""


class Engine(Closing):
    """A loaded model: its loop, vocabulary and metadata. Build one with `load`."""

    def __init__(
        self, library: ModuleType, options: LoadOptions, progress: Progress | None
    ) -> None:
        started = time.perf_counter()
        self._library = library
        self._model: Handle | None = load_model(library, options, progress)
        self._context: Handle | None = None
        self._decoder: LlamaDecoder | None = None
        self.vision: Vision | None = None
        """What looks at pictures, if the model can."""
        try:
            self._check_kind()
            self.n_ctx = context_size(options.n_ctx, self.n_ctx_train)
            if options.pool:
                self.n_ctx = min(self.n_ctx, options.pool)
            self.vision = self._load_vision(options)
            self.crew = self._make_crew(options)
            self._context = self._make_context(options)
            adapt(library, self._model, self._context, options)
            self.vocabulary = LlamaVocabulary(library, library.llama_model_get_vocab(self._model))
            self.constraints = Constraints(library, self.vocabulary)
            self.loop = self._make_loop(options)
        except BaseException:
            self.close()
            raise
        self.load_s = time.perf_counter() - started

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context that the model was trained for."""
        return int(self._library.llama_model_n_ctx_train(self._model))

    @property
    def model(self) -> Handle | None:
        """The weights, for another context beside this one; None when they are freed."""
        return self._model

    def metadata(self, key: str) -> str:
        """Return the text of *key* in the GGUF's metadata, or nothing; arrays are not given."""
        return metadata_of(self._library, self._model, key)

    def close(self) -> None:
        """Free the model and its memory; a second time does nothing."""
        if self._decoder is not None:
            self._decoder.close()
        if self.vision is not None:
            self.vision.close()
        context, self._context = self._context, None
        model, self._model = self._model, None
        if context is not None:
            self._library.llama_free(context)
        if model is not None:  # adapters go with their model
            self._library.llama_model_free(model)

    def _check_kind(self) -> None:
        """Refuse what llama.cpp would abort the process over: models that write no text."""
        kind = self.metadata("general.architecture")
        encodes = self._library.llama_model_has_encoder(self._model)
        if encodes or self.metadata(f"{kind}.attention.causal") == "false":
            raise EngineError(
                f"a model of the kind {kind!r} does not write text",
                hint="it is for embeddings or for translation",
            )

    def _is_on_gpu(self, options: LoadOptions) -> bool:
        return bool(self._library.llama_supports_gpu_offload()) and options.n_gpu_layers != 0

    def _load_vision(self, options: LoadOptions) -> Vision | None:
        if not options.projectors:
            return None
        vision = Vision(
            mtmd(),
            self._model,
            options,
            width=int(self._library.llama_model_n_embd_inp(self._model)),
            on_gpu=self._is_on_gpu(options),
            errors=_ERRORS,
        )
        if vision.sees:
            return vision
        vision.close()
        return None

    def see(self, picture: bytes) -> Sight:
        """Return what the file *picture* becomes in a prompt.

        Raises:
            InputError: it is no picture, damaged or cut off.
            LimitError: it is too large.
            EngineError: the model cannot look at it, or at any.
        """
        if self.vision is None:
            raise EngineError("the model does not look at images")
        most = self.n_ctx
        if not self.vision.is_causal:
            most = min(most, int(self._library.llama_n_ubatch(self._context)))
        return self.vision.see(picture, most=most)

    def _make_crew(self, options: LoadOptions) -> Crew:
        library, model = self._library, self._model
        layers = max(1, int(library.llama_model_n_layer(model)))
        most = options.threads
        return Crew(most, int(library.llama_model_size(model)) // (layers * MATRICES))

    def _make_context(self, options: LoadOptions) -> Handle:
        library = self._library
        total = options.pool or self.n_ctx * options.slots
        params = library.llama_context_default_params()
        params.n_ctx = total
        params.n_batch = min(max(options.n_batch, options.slots), total)
        flash = is_flash(
            options,
            self.n_ctx,
            on_gpu=self._is_on_gpu(options),
            file_type=self.metadata("general.file_type"),
        )
        rows = rows_of(options.n_ubatch, flash=flash)
        if self.vision is not None and not self.vision.is_causal:
            rows = options.n_ubatch  # one step has all of a picture
        params.n_ubatch = min(rows, params.n_batch)
        params.n_seq_max = options.slots
        params.n_threads, params.n_threads_batch = self.crew.one, self.crew.most
        wanted = options.flash_attention == "on" or options.kv_cache_type != "f16"
        kind = "DISABLED" if not flash else "ENABLED" if wanted else "AUTO"
        params.flash_attn_type = getattr(library, f"LLAMA_FLASH_ATTN_TYPE_{kind}")
        params.type_k = params.type_v = _KV_TYPES[options.kv_cache_type]
        params.swa_full = False
        params.kv_unified = options.pool > 0
        params.no_perf = True
        _ERRORS.clear()
        context: Handle | None = library.llama_init_from_model(self._model, params)
        if context is None:
            raise EngineError(
                f"cannot make a context of {total:,} tokens: {_ERRORS.cause}",
                hint="lower the parameter num_ctx",
            )
        return context

    def _make_loop(self, options: LoadOptions) -> Loop:
        library = self._library
        bounds = Bounds(
            n_ctx=self.n_ctx,
            n_batch=int(library.llama_n_batch(self._context)),
            slots=options.slots,
            prompt_chunk=PROMPT_CHUNK if self._is_on_gpu(options) else PROMPT_CHUNK_CPU,
            apart=not options.pool,
            hold_s=HOLD_S,
        )
        self._decoder = LlamaDecoder(
            library,
            self._context,
            self.constraints,
            model=self._model,
            crew=self.crew,
            vision=self.vision,
        )
        return Loop(self._decoder, self.vocabulary, bounds)


def load(options: LoadOptions, progress: Progress | None = None) -> Engine:
    """Load a model, telling *progress* how far it is, from 0 to 1; False from it gives up.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        EngineError: a file is missing or is no model, or there is no memory for it.
        StoppedError: *progress* gave up. What it raises is raised here.
    """
    return Engine(library(), options, progress)


@cache
def library() -> ModuleType:
    """Return the library, ready for use.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise MissingExtraError("running a model", "runtime") from error
    found: ModuleType = llama_cpp
    _ERRORS.listen(found)
    found.llama_backend_init()
    return found


def count_gpus() -> int:
    """Return how many GPUs the library sees, those within processors left out; -1 if unknown."""
    try:
        backend = library().llama_cpp._lib
        backend.ggml_backend_dev_count.restype = ctypes.c_size_t
        backend.ggml_backend_dev_get.argtypes = (ctypes.c_size_t,)
        backend.ggml_backend_dev_get.restype = ctypes.c_void_p
        backend.ggml_backend_dev_type.argtypes = (ctypes.c_void_p,)
        devices = map(backend.ggml_backend_dev_get, range(backend.ggml_backend_dev_count()))
        return sum(backend.ggml_backend_dev_type(device) == _GPU for device in devices)
    except AttributeError:
        return -1


@cache
def mtmd() -> ModuleType:
    """Return the library that looks at pictures; raises as `library`."""
    library()
    try:
        import llama_cpp.mtmd_cpp as found
    except (ImportError, OSError) as error:
        raise EngineError(
            "this llama-cpp-python was built without what looks at images",
            hint="build it without -DLLAVA_BUILD=off",
        ) from error
    module: ModuleType = found
    return module


def load_model(
    library: ModuleType, options: LoadOptions, progress: Progress | None = None
) -> Handle:
    """Load the weights alone; raises as `load`."""
    return read_weights(library, options, _ERRORS, progress)


def adapt(library: ModuleType, model: Handle, context: Handle, options: LoadOptions) -> None:
    """Let *context* compute with the adapters of *options*; raises as `load`."""
    apply_adapters(library, model, context, options.adapters, _ERRORS)
