"""JSON schemas as a grammar can keep them: what it cannot say is said otherwise, or left out. Pure.

What comes out allows all that went in allowed, and perhaps more. llguidance itself leaves out the
keywords and formats that it does not know (`OPTIONS`), and takes `oneOf` for `anyOf` where it
cannot tell the parts from each other. A schema whose `x-guidance` says that it is not `lenient` is
refused instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelpack.engine.marks import JSON_SPACE
from modelpack.errors import InputError

OPTIONS: Mapping[str, object] = {"whitespace_pattern": JSON_SPACE, "lenient": True}
"""How llguidance is to take a schema that does not say so itself, in `x-guidance`."""
_HUGE = 1e19
"""From here on a bound of a number has no digits that an expression could be made of."""
_ONE = (
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_MANY = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_BOUNDS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum")
_LOOKS = ("(?=", "(?!", "(?<=", "(?<!")


def is_strict(schema: object) -> bool:
    """Tell whether *schema* says that it is not to be loosened."""
    guidance = schema.get("x-guidance") if isinstance(schema, Mapping) else None
    return isinstance(guidance, Mapping) and guidance.get("lenient") is False


def loosened(schema: object) -> object:
    """Return *schema* in words that a grammar can keep, where there are such.

    Raises:
        InputError: it is nested too deep.
    """
    if is_strict(schema):
        return schema
    try:
        return _Loosening(schema).of(schema)
    except RecursionError:
        raise InputError("the JSON schema is nested too deep") from None


class _Loosening:
    """How the parts of one schema are loosened."""

    def __init__(self, whole: object) -> None:
        said = whole if isinstance(whole, Mapping) else {}
        self._known = {
            f"#/{key}/{name}": part
            for key in ("$defs", "definitions")
            if isinstance(said.get(key), Mapping)
            for name, part in said[key].items()
        }

    def of(self, schema: object) -> object:
        """Return *schema*, which is the whole or a part of it, loosened."""
        if not isinstance(schema, Mapping):
            return schema
        if schema.get("not") in ({}, True):  # as zod writes what is never there
            return False
        said = {key: self._value(key, value) for key, value in schema.items()}
        if said.get("type") != "integer":
            said = {key: value for key, value in said.items() if not _is_huge(key, value)}
        return self._with_names(said)

    def _value(self, key: str, value: object) -> object:
        """Return the *value* of a keyword, with what is a schema in it loosened."""
        if isinstance(value, Mapping):
            if key in _NAMED:
                return {name: self.of(part) for name, part in value.items()}
            return self.of(value) if key in _ONE else value
        if isinstance(value, list) and key in _MANY:
            return [self.of(part) for part in value]
        if isinstance(value, str) and key == "pattern":
            return without_looks(value)
        return value

    def _with_names(self, said: dict[str, object]) -> dict[str, object]:
        """Return *said* with `propertyNames` as properties, where they say all that there is."""
        names = said.get("propertyNames")
        if isinstance(names, Mapping) and isinstance(names.get("$ref"), str):
            names = self._known.get(names["$ref"])
        if not isinstance(names, Mapping) or "properties" in said or "patternProperties" in said:
            return said
        value = said.get("additionalProperties", True)
        if isinstance(names.get("enum"), list):
            given = {name: value for name in names["enum"] if isinstance(name, str)}
            said |= {"properties": given, "additionalProperties": False}
        elif isinstance(names.get("pattern"), str):
            given = {without_looks(names["pattern"]): value}
            said |= {"patternProperties": given, "additionalProperties": False}
        return said


def _is_huge(key: str, value: object) -> bool:
    return key in _BOUNDS and isinstance(value, (int, float)) and abs(value) >= _HUGE


def without_looks(pattern: str) -> str:
    r"""Return *pattern* without what looks ahead or behind, and without `\b` and `\B`.

    They take no characters, so that what is left matches the same texts and more.
    """
    kept: list[str] = []
    at = 0
    while at < len(pattern):
        end = _next(pattern, at)
        if pattern.startswith(_LOOKS, at):
            end = _behind_group(pattern, at)
        elif pattern[at:end] not in (r"\b", r"\B"):
            kept.append(pattern[at:end])
        at = end
    return "".join(kept)


def _behind_group(pattern: str, at: int) -> int:
    """Return where the group that begins *at* has ended."""
    depth = 0
    while at < len(pattern):
        depth += {"(": 1, ")": -1}.get(pattern[at], 0)
        at = _next(pattern, at)
        if depth == 0:
            break
    return at


def _next(pattern: str, at: int) -> int:
    """Return where the character, escape or class of characters that begins *at* has ended."""
    if pattern[at] == "\\":
        return at + 2
    if pattern[at] != "[":
        return at + 1
    at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1
