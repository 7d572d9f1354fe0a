"""Parameters, as a Modelfile or a user gives them, to the engine's options.

Values come checked from `modelpack.modelfile.parameters`; one that still has another type than its
parameter counts as not given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.engine.base import BATCH, Adapter, LoadOptions
from modelpack.engine.sampling import Sampling
from modelpack.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelpack.engine.base import Flash, KvType
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.model import ModelFiles

LOADING = frozenset(
    {
        "num_ctx", "num_batch", "num_thread", "num_gpu", "main_gpu", "use_mmap", "lora_scale",
        "flash_attention", "kv_cache_type", "tensor_split",
    }
)  # fmt: skip
"""Parameters that say how a model is loaded; all others are those of one answer."""
_NOTHING = Sampling()
_FLASH: tuple[Flash, ...] = ("auto", "on", "off")
_KV_TYPES: tuple[KvType, ...] = ("f16", "q8_0", "q4_0")


def sampling_from(parameters: Mapping[str, ParameterValue]) -> Sampling:
    """Return how to choose tokens: *parameters* over the defaults.

    Raises:
        InputError: too many texts end an answer, or one is too long.
    """
    return Sampling(
        seed=_int(parameters, "seed", _NOTHING.seed),
        num_predict=_int(parameters, "num_predict", _NOTHING.num_predict),
        top_k=_int(parameters, "top_k", _NOTHING.top_k),
        top_p=_float(parameters, "top_p", _NOTHING.top_p),
        min_p=_float(parameters, "min_p", _NOTHING.min_p),
        typical_p=_float(parameters, "typical_p", _NOTHING.typical_p),
        repeat_last_n=_int(parameters, "repeat_last_n", _NOTHING.repeat_last_n),
        temperature=_float(parameters, "temperature", _NOTHING.temperature),
        repeat_penalty=_float(parameters, "repeat_penalty", _NOTHING.repeat_penalty),
        presence_penalty=_float(parameters, "presence_penalty", _NOTHING.presence_penalty),
        frequency_penalty=_float(parameters, "frequency_penalty", _NOTHING.frequency_penalty),
        stop=_stops(parameters.get("stop", [])),
    )


def load_options_from(files: ModelFiles, parameters: Mapping[str, ParameterValue]) -> LoadOptions:
    """Return how to load *files* under *parameters*.

    `flash_attention`, `kv_cache_type` and `tensor_split` are no parameters of a Modelfile: whoever
    loads a model sets them.

    Raises:
        InputError: one of those three has a value that it cannot have.
    """
    use_mmap = parameters.get("use_mmap")
    batch = _int(parameters, "num_batch", BATCH)
    scale = _float(parameters, "lora_scale", 1.0)
    return LoadOptions(
        weights=files.weights,
        adapters=tuple(Adapter(path, scale) for path in files.adapters),
        projectors=files.projectors,
        n_ctx=max(0, _int(parameters, "num_ctx", 0)),
        n_batch=max(1, batch),
        n_threads=max(0, _int(parameters, "num_thread", 0)),
        n_gpu_layers=_int(parameters, "num_gpu", -1),
        main_gpu=_int(parameters, "main_gpu", 0),
        use_mmap=use_mmap if isinstance(use_mmap, bool) else None,
        flash_attention=_flash(parameters.get("flash_attention", "auto")),
        kv_cache_type=_kv_type(parameters.get("kv_cache_type", "f16")),
        tensor_split=_numbers(parameters.get("tensor_split", "")),
    )


def loading_of(parameters: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
    """Return those of *parameters* that say how a model is loaded."""
    return {name: value for name, value in parameters.items() if name in LOADING}


def _stops(value: ParameterValue) -> tuple[str, ...]:
    stops = tuple(value) if isinstance(value, list) else (str(value),)
    if len(stops) > limits.STOPS:
        raise InputError(f"{len(stops):,} stop strings", hint=f"{limits.STOPS} are the most")
    longest = max(map(len, stops), default=0)
    if longest > limits.STOP:
        raise InputError(
            f"a stop string of {longest:,} characters", hint=f"{limits.STOP:,} are the most"
        )
    return stops


def _flash(value: ParameterValue) -> Flash:
    if isinstance(value, bool):
        return "on" if value else "off"
    found = next((known for known in _FLASH if known == value), None)
    if found is not None:
        return found
    raise InputError(f"flash_attention is {value!r}", hint="it can be on, off or auto")


def _kv_type(value: ParameterValue) -> KvType:
    found = next((known for known in _KV_TYPES if known == value), None)
    if found is not None:
        return found
    raise InputError(f"kv_cache_type is {value!r}", hint="it can be f16, q8_0 or q4_0")


def _numbers(value: ParameterValue) -> tuple[float, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(float(part) for part in parts if part != "")  # type: ignore[union-attr]
    except (TypeError, ValueError):
        raise InputError(f"tensor_split is {value!r}", hint="it is numbers such as 3,1") from None


def _int(parameters: Mapping[str, ParameterValue], key: str, default: int) -> int:
    value = parameters.get(key, default)
    return int(value) if isinstance(value, int | float) else default


def _float(parameters: Mapping[str, ParameterValue], key: str, default: float) -> float:
    value = parameters.get(key, default)
    return float(value) if isinstance(value, int | float) else default
