"""The names, types and defaults of `PARAMETER`, of a params layer and of `/set parameter`.

What a parameter does to sampling or loading is decided where it is used; ranges are not checked
here, because Ollama does not either and models rely on it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from modelpack.errors import InputError
from modelpack.modelfile.near import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ParameterValue = bool | int | float | str | list[str]
ParameterType = Literal["int", "float", "bool", "strings"]

_INT = re.compile(r"[+-]?[0-9]+\Z")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_BOOLS = MappingProxyType(
    dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True)
    | dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)
)
_INT_BITS = 63
_DIGITS = 20
_TYPE_NAMES = MappingProxyType(
    {
        "int": "an integer",
        "float": "a number",
        "bool": "true or false",
        "strings": "a list of strings",
    }
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its type, the value where none is given, and what it means."""

    name: str
    type: ParameterType
    default: ParameterValue | None
    """None where the model or the machine decides."""
    meaning: str
    ignored: bool = False
    """Older Modelfiles have it; it is read and has no effect."""


_ALL = (
    Parameter("num_ctx", "int", None, "tokens of context"),
    Parameter("num_batch", "int", 512, "tokens of prompt evaluated in one step"),
    Parameter("num_gpu", "int", -1, "layers on the GPU; -1 decides by free memory, 0 uses none"),
    Parameter("main_gpu", "int", None, "the GPU for small tensors"),
    Parameter("use_mmap", "bool", None, "map the weights instead of reading them"),
    Parameter("num_thread", "int", 0, "threads at most; 0: as many as cores"),
    Parameter("lora_scale", "float", 1.0, "how strongly adapters count; 0 is not at all"),
    Parameter("draft_num_predict", "int", 4, "tokens that a draft model proposes at a time"),
    Parameter("num_keep", "int", 4, "tokens kept at the front when the context is full"),
    Parameter("seed", "int", -1, "seed of the sampler; -1 takes a random one"),
    Parameter("num_predict", "int", -1, "tokens to generate at most; -1 for no bound"),
    Parameter("top_k", "int", 40, "sample from the k likeliest tokens"),
    Parameter("top_p", "float", 0.9, "sample from the likeliest tokens that make up this share"),
    Parameter("min_p", "float", 0.0, "drop tokens below this share of the likeliest one"),
    Parameter("typical_p", "float", 1.0, "sample from locally typical tokens; 1.0 is off"),
    Parameter("repeat_last_n", "int", 64, "tokens the penalties look back at; 0 none, -1 all"),
    Parameter("temperature", "float", 0.8, "how freely to choose; 0 always takes the likeliest"),
    Parameter("repeat_penalty", "float", 1.0, "penalty on repeated tokens; 1.0 is off"),
    Parameter("presence_penalty", "float", 0.0, "penalty on tokens that occurred at all"),
    Parameter("frequency_penalty", "float", 0.0, "penalty on tokens by how often they occurred"),
    Parameter("stop", "strings", None, "texts that end the answer; may be given several times"),
    Parameter("penalize_newline", "bool", None, "no effect", ignored=True),
    Parameter("low_vram", "bool", None, "no effect", ignored=True),
    Parameter("f16_kv", "bool", None, "no effect", ignored=True),
    Parameter("logits_all", "bool", None, "no effect", ignored=True),
    Parameter("vocab_only", "bool", None, "no effect", ignored=True),
    Parameter("use_mlock", "bool", None, "no effect", ignored=True),
    Parameter("mirostat", "int", None, "no effect", ignored=True),
    Parameter("mirostat_tau", "float", None, "no effect", ignored=True),
    Parameter("mirostat_eta", "float", None, "no effect", ignored=True),
)

PARAMETERS: Mapping[str, Parameter] = MappingProxyType({p.name: p for p in _ALL})
"""Every parameter by name, in the order of the documentation."""


def parse_parameter(key: str, text: str) -> ParameterValue:
    """Return the value that *text* gives the parameter *key*; a `stop` is a list of one.

    Text for an ignored parameter comes back as it is.

    Raises:
        InputError: there is no such parameter, or *text* is not of its type.
    """
    parameter = PARAMETERS.get(key)
    if parameter is None:
        raise _unknown(key)
    if parameter.ignored:
        return text
    if parameter.type == "strings":
        return [text]
    value = _scalar(parameter.type, text)
    if value is None:
        raise InputError(
            f"invalid {parameter.type} value {text[:64]!r} for {key}",
            hint=f"{key} is {_TYPE_NAMES[parameter.type]}: {parameter.meaning}",
        )
    return value


def parse_parameters(said: Iterable[tuple[str, str]]) -> dict[str, ParameterValue]:
    """Return the parameters in *said*, names and texts: lists grow, else the last one counts.

    Raises:
        InputError: as `parse_parameter`.
    """
    found: dict[str, ParameterValue] = {}
    for key, text in said:
        value, before = parse_parameter(key, text), found.get(key)
        if isinstance(value, list) and isinstance(before, list):
            value = [*before, *value]
        found[key] = value
    return found


def check_parameters(values: Mapping[str, object]) -> dict[str, ParameterValue]:
    """Return the typed parameters among decoded JSON *values*.

    Names we do not know, ignored ones and nulls are left out; whole floats do for integers.

    Raises:
        InputError: a value has another type than its parameter.
    """
    checked: dict[str, ParameterValue] = {}
    for key, value in values.items():
        parameter = PARAMETERS.get(key)
        if parameter is None or parameter.ignored or value is None:
            continue
        typed = _typed(parameter.type, value)
        if typed is None:
            raise InputError(
                f"parameter {key} must be {_TYPE_NAMES[parameter.type]}, not {value!r:.64}",
                hint=f"{key}: {parameter.meaning}",
            )
        checked[key] = typed
    return checked


def _unknown(key: str) -> InputError:
    near = nearest(key, PARAMETERS)
    return InputError(
        f"unknown parameter {key[:64]!r}",
        hint=f"did you mean {near}?" if near else f"one of: {', '.join(PARAMETERS)}",
    )


def _scalar(kind: ParameterType, text: str) -> ParameterValue | None:
    if kind == "bool":
        return _BOOLS.get(text)
    if kind == "int":
        return _int(int(text)) if _INT.match(text) and len(text) <= _DIGITS else None
    return _float(float(text)) if _FLOAT.match(text) else None


def _typed(kind: ParameterType, value: object) -> ParameterValue | None:
    if kind == "strings":
        if not isinstance(value, list | tuple):
            return None
        texts = [item for item in value if isinstance(item, str)]
        return texts if len(texts) == len(value) else None
    if isinstance(value, bool):
        return value if kind == "bool" else None
    if kind == "bool" or not isinstance(value, int | float):
        return None
    if kind == "float":
        return _float(value)
    whole = isinstance(value, int) or value.is_integer()
    return _int(int(value)) if whole else None


def _int(value: int) -> int | None:
    return value if -(2**_INT_BITS) <= value < 2**_INT_BITS else None


def _float(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
