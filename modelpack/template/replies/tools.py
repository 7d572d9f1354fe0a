"""The tools that a model may call, and the arguments that it gives them as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelpack.template.replies.jsontext import clean, loads

_SCHEMAS = ("parameters", "input_schema")
_UNIONS = ("anyOf", "oneOf")
_NULLS = ("null", "None")
_KINDS = {
    int: frozenset(("integer", "number")),
    float: frozenset(("number",)),
    dict: frozenset(("object",)),
    list: frozenset(("array",)),
}
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


class Tools:
    """Tools by name; false if there are none."""

    def __init__(self, tools: Sequence[Mapping[str, object]]) -> None:
        self.schemas: dict[str, Mapping[str, object]] = {}
        """The schema of each tool's arguments; empty where there is none."""
        for tool in tools:
            inner = tool.get("function")
            function = inner if isinstance(inner, Mapping) else tool
            name = function.get("name")
            if isinstance(name, str):
                self.schemas[name] = _schema(function)

    def __bool__(self) -> bool:
        return bool(self.schemas)

    def __contains__(self, name: object) -> bool:
        return name in self.schemas

    def arguments(self, tool: str, texts: Mapping[str, str]) -> dict[str, object]:
        """Return *texts* as the types that the schema of *tool* gives them, else as text."""
        properties = self.schemas.get(tool, {}).get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        return {clean(name): convert(text, known.get(name)) for name, text in texts.items()}


def _schema(function: Mapping[str, object]) -> Mapping[str, object]:
    found = (function.get(name) for name in _SCHEMAS)
    return next((schema for schema in found if isinstance(schema, Mapping)), {})


def convert(text: str, schema: object) -> object:
    """Return what *text* is as one of the types of *schema*; as text, if none of them fits."""
    types = frozenset(_types(schema))
    stripped = text.strip()
    if "null" in types and stripped in _NULLS:
        return None
    if "boolean" in types and stripped in _BOOLEANS:
        return _BOOLEANS[stripped]
    try:
        value = loads(stripped)
    except ValueError:
        return clean(text)
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return int(value)
    return value if _type_of(value) & types else clean(text)


def _types(schema: object) -> Iterator[str]:
    several = [schema]
    if isinstance(schema, Mapping):
        several += (one for key in _UNIONS for one in _list(schema.get(key)))
    for one in several:
        said = one.get("type") if isinstance(one, Mapping) else None
        yield from (name for name in (*_list(said), said) if isinstance(name, str))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _type_of(value: object) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset()
    for kind, names in _KINDS.items():
        if isinstance(value, kind):
            return names
    return frozenset()
