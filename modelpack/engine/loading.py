"""Files to a model in llama.cpp's memory, and what it says when that fails.

Takes the library from `modelpack.engine.llamacpp`, which owns it.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from modelpack.errors import EngineError, InputError, StoppedError

if TYPE_CHECKING:
    from types import ModuleType

    from modelpack.engine.base import Adapter, LoadOptions
    from modelpack.engine.vocabulary import Handle

Progress: TypeAlias = Callable[[float], "bool | None"]
"""Is told how much of a model is loaded, from 0 to 1; False gives up."""

_ERROR = 4
_VALUE = 4096
"""Bytes of a metadata value that are read at first."""
_WHERE = re.compile(r"(?:\w*_\w*: )+(?:error loading model: )?")
"""The functions that a complaint begins with."""


class ErrorLines:
    """The last things that llama.cpp complained about, instead of on standard error."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=8)
        self._callback: object = None

    def listen(self, library: ModuleType) -> None:
        """Take everything that *library* logs from now on."""
        self._callback = library.llama_log_callback(self._take)
        self.hear(library.llama_log_set)

    def hear(self, log_set: Callable[[object, None], None]) -> None:
        """Take also what a library logs that has *log_set*."""
        log_set(self._callback, None)

    def _take(self, level: int, text: bytes, _data: object) -> None:
        line = _WHERE.sub("", " ".join(text.decode("utf-8", "replace").split()))
        if level == _ERROR and line:
            self._lines.append(line)

    def clear(self) -> None:
        """Forget what was said so far."""
        self._lines.clear()

    @property
    def cause(self) -> str:
        """The first complaint since `clear`, which later ones follow from."""
        return self._lines[0] if self._lines else "llama.cpp does not say why"


class _Watch:
    """Passes progress on, and remembers why loading was given up."""

    def __init__(self, library: ModuleType, progress: Progress) -> None:
        self._progress = progress
        self.gave_up = False
        self.error: BaseException | None = None
        self.callback = library.llama_progress_callback(self._tell)  # kept as long as this is

    def _tell(self, part: float, _data: object) -> bool:
        if self.gave_up:
            return False
        try:
            self.gave_up = self._progress(part) is False
        except BaseException as error:  # noqa: BLE001 - nothing may be raised into C
            self.gave_up, self.error = True, error
        return not self.gave_up


def _split(library: ModuleType, parts: Sequence[float]) -> ctypes.Array[ctypes.c_float] | None:
    """Return *parts* for every device that llama.cpp could have; they must outlive loading."""
    if not parts:
        return None
    most = int(library.llama_max_devices())
    if len(parts) > most or not all(0 <= part < math.inf for part in parts) or not any(parts):
        raise InputError(
            "tensor_split is no share of layers for each GPU",
            hint=f"give up to {most} numbers such as 3,1, not all of them zero",
        )
    return (ctypes.c_float * most)(*parts)


def metadata_of(library: ModuleType, model: Handle, key: str) -> str:
    """Return the text of *key* in the GGUF's metadata, or nothing; arrays are not given."""
    name = key.encode()
    room = _VALUE
    for _ in range(2):
        buffer = ctypes.create_string_buffer(room)
        size = int(library.llama_model_meta_val_str(model, name, buffer, room))
        if size < room:
            return buffer.raw[: max(0, size)].decode("utf-8", "replace")
        room = size + 1
    return ""


def apply_adapters(
    library: ModuleType,
    model: Handle,
    context: Handle,
    adapters: Sequence[Adapter],
    errors: ErrorLines,
) -> None:
    """Let *context* compute with *adapters*, which go with their *model*.

    Raises:
        EngineError: one cannot be loaded, or is for another model.
    """
    if not adapters:
        return
    handles: list[Handle] = []
    for adapter in adapters:
        errors.clear()
        made = library.llama_adapter_lora_init(model, os.fsencode(adapter.path))
        if not made:  # a null pointer object, not None
            raise EngineError(
                f"cannot load the adapter {adapter.path.name!r}: {errors.cause}",
                hint="was it trained for this very model?",
            )
        handles.append(made)
    count = len(adapters)
    array = (library.llama_adapter_lora_p_ctypes * count)(*handles)
    scales = (ctypes.c_float * count)(*(adapter.scale for adapter in adapters))
    if library.llama_set_adapters_lora(context, array, count, scales):
        raise EngineError(f"cannot apply {count} adapters")


def read_weights(
    library: ModuleType, options: LoadOptions, errors: ErrorLines, progress: Progress | None
) -> Handle:
    """Load the weights; raises as `modelpack.engine.llamacpp.load`."""
    for path in (*options.weights, *(adapter.path for adapter in options.adapters)):
        if not path.is_file():
            raise EngineError(f"no such file: {str(path)!r}", hint="was the model removed?")
    params = library.llama_model_default_params()
    params.n_gpu_layers = options.n_gpu_layers
    params.main_gpu = options.main_gpu
    if options.use_mmap is not None:
        params.load_mode = (
            library.LLAMA_LOAD_MODE_MMAP if options.use_mmap else library.LLAMA_LOAD_MODE_NONE
        )
    split = _split(library, options.tensor_split)
    if split is not None:
        params.tensor_split = split
    watch = None if progress is None else _Watch(library, progress)
    if watch is not None:
        params.progress_callback = watch.callback
    errors.clear()
    names = [os.fsencode(path) for path in options.weights]
    if len(names) == 1:
        model: Handle | None = library.llama_model_load_from_file(names[0], params)
    else:
        paths = (ctypes.c_char_p * len(names))(*names)
        model = library.llama_model_load_from_splits(paths, len(names), params)
    if watch is not None and watch.gave_up:
        if model is not None:
            library.llama_model_free(model)
        raise watch.error or StoppedError("loading the model was given up")
    if model is None:
        first = options.weights[0].name if options.weights else "a model without files"
        raise EngineError(
            f"cannot load {first!r}: {errors.cause}",
            hint="is it a complete GGUF model, of a kind that this llama.cpp knows?",
        )
    return model
