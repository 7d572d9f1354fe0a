"""The `options` of a request, checked as Ollama checks them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelpack.errors import InputError
from modelpack.modelfile.parameters import PARAMETERS, ParameterValue
from modelpack.server.daemon.fields import Fields

_TYPES: Mapping[str, str] = MappingProxyType(
    {"int": "integer", "float": "float", "bool": "boolean", "strings": "array"}
)
_BITS = 63


def options_from(fields: Fields | None) -> dict[str, ParameterValue]:
    """Return the parameters in *fields*; names that nobody knows are left out.

    A number with a fraction does for an integer and loses it.

    Raises:
        InputError: an option has the wrong type.
    """
    found: dict[str, ParameterValue] = {}
    for name, value in (fields.value if fields else {}).items():
        parameter = PARAMETERS.get(name)
        if parameter is None or parameter.ignored or value is None:
            continue
        typed = _typed(parameter.type, value)
        if typed is None:
            raise InputError(f'option "{name}" must be of type {_TYPES[parameter.type]}')
        found[name] = typed
    return found


def _typed(kind: str, value: object) -> ParameterValue | None:
    if kind == "strings":
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return list(value)
        return None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not abs(value) < 2**_BITS:  # neither huge, nor infinite, nor no number
        return None
    return int(value) if kind == "int" else float(value)
