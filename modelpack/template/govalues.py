"""Conversations as Ollama's Go templates see them.

Fields have Go's names (`.Function.Name`). Messages, tools, schemas and arguments print as JSON,
in the order and with the escapes of Go's `encoding/json`; so does everything that `json` is
given. That is why the containers here are subclasses: a template prints them with `str`.

See: https://github.com/ollama/ollama/blob/main/template/template.go
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from modelpack.template.chat import ChatMessage, ToolCall

_TOOL = ("type", "items", "function")
_FUNCTION = ("name", "description", "parameters")
_SCHEMA = ("anyOf", "type", "$defs", "items", "description", "required", "enum", "properties")
_GO_ESCAPES = str.maketrans(
    {
        c: f"\\u{ord(c):04x}"
        for c in ("<", ">", "&", "\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}")
    }
)
_TYPESCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


class GoStruct(dict[str, object]):
    """Fields by their Go names, and *plain*: the JSON value that they stand for."""

    def __init__(self, plain: object, fields: Mapping[str, object]) -> None:
        super().__init__(fields)
        self.plain = plain

    def __str__(self) -> str:
        return go_json(self)


class GoMap(dict[str, object]):
    """A map with JSON values, which prints as JSON."""

    def __str__(self) -> str:
        return go_json(self)


class GoList(list[object]):
    """A slice, which prints as Go does: `[a b]`."""

    def __str__(self) -> str:
        return f"[{' '.join(map(str, self))}]"


class GoTools(list[object]):
    """The tools or the calls, which print as JSON."""

    def __str__(self) -> str:
        return go_json(self)


class GoBool(int):
    """A boolean in arguments; Python's own would print with a capital."""

    def __str__(self) -> str:
        return "true" if self else "false"


class GoNil(list[object]):
    """JSON's null: nothing in it, not true, and `<nil>` in print."""

    def __str__(self) -> str:
        return "<nil>"


def go_json(value: object) -> str:
    """Return *value* as Go's `json.Marshal` writes it."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return text.translate(_GO_ESCAPES)


def typescript_type(value: object) -> str:
    """Return the TypeScript type for the schema of a tool's parameter."""
    if not isinstance(value, GoStruct):
        return "any"
    any_of = value.get("AnyOf")
    if isinstance(any_of, list) and any_of:
        return " | ".join(typescript_type(item) for item in any_of)
    types = value.get("Type")
    names = types if isinstance(types, list) else [types] if types else []
    return " | ".join(_TYPESCRIPT.get(str(name), "any") for name in names) or "any"


def collate(messages: Iterable[ChatMessage]) -> tuple[str, list[ChatMessage]]:
    """Return all system texts in one, and *messages* with neighbours of one role joined.

    Results of tools stay apart.
    """
    system: list[str] = []
    joined: list[ChatMessage] = []
    for message in messages:
        if message.role == "system":
            system.append(message.content)
        if joined and joined[-1].role == message.role != "tool":
            joined[-1] = _join(joined[-1], message)
        else:
            joined.append(message)
    return "\n\n".join(system), joined


def go_messages(messages: Iterable[ChatMessage]) -> GoTools:
    """Return *messages* as `.Messages`."""
    return GoTools(_message(message) for message in messages)


def go_tools(tools: Sequence[Mapping[str, object]]) -> GoTools:
    """Return *tools*, JSON schemas as in OpenAI's API, as `.Tools`."""
    return GoTools(_tool(tool) for tool in tools)


def go_value(value: object) -> object:
    """Return decoded JSON as a template sees it: numbers and booleans print as in Go."""
    if value is None:
        return GoNil()
    if isinstance(value, bool):
        return GoBool(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return GoMap((str(key), go_value(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return GoList(go_value(item) for item in value)
    return value


def _join(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    return replace(
        first,
        content=f"{first.content}\n\n{second.content}",
        thinking=first.thinking or second.thinking,
        tool_calls=first.tool_calls + second.tool_calls,
    )


def _message(message: ChatMessage) -> GoStruct:
    calls = GoTools(_call(i, call) for i, call in enumerate(message.tool_calls))
    plain = {
        "role": message.role,
        "content": message.content,
        "thinking": message.thinking,
        "tool_calls": _plain(calls),
        "tool_name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    return GoStruct(
        {key: value for key, value in plain.items() if value or key in ("role", "content")},
        {
            "Role": message.role,
            "Content": message.content,
            "Thinking": message.thinking,
            "Images": GoList(),
            "ToolCalls": calls,
            "ToolName": message.tool_name,
            "ToolCallID": message.tool_call_id,
        },
    )


def _call(index: int, call: ToolCall) -> GoStruct:
    arguments = go_value(call.arguments)
    plain = {"name": call.name, "arguments": _plain(arguments)}
    fields = {"Index": index, "Name": call.name, "Arguments": arguments}
    function = GoStruct(plain, fields)
    whole: dict[str, object] = {"id": call.id} if call.id else {}
    return GoStruct({**whole, "function": plain}, {"ID": call.id, "Function": function})


def _tool(tool: Mapping[str, object]) -> GoStruct:
    function = tool.get("function")
    inner = _function(function if isinstance(function, Mapping) else {})
    plain = _ordered({**tool, "function": inner.plain}, _TOOL)
    return GoStruct(
        plain,
        {
            "Type": tool.get("type", "function"),
            "Items": go_value(tool.get("items")),
            "Function": inner,
        },
    )


def _function(function: Mapping[str, object]) -> GoStruct:
    parameters = function.get("parameters")
    schema = _schema(parameters if isinstance(parameters, Mapping) else {})
    given = {**function, "parameters": schema.plain} if "parameters" in function else function
    return GoStruct(
        _ordered(given, _FUNCTION),
        {
            "Name": function.get("name", ""),
            "Description": function.get("description", ""),
            "Parameters": schema,
        },
    )


def _schema(schema: Mapping[str, object]) -> GoStruct:
    properties = schema.get("properties")
    inner = properties if isinstance(properties, Mapping) else {}
    typed = GoMap((str(k), _schema(v)) for k, v in inner.items() if isinstance(v, Mapping))
    given = {**schema, "properties": _plain(typed)} if typed else schema
    any_of = schema.get("anyOf")
    kinds = any_of if isinstance(any_of, list) else []
    kind = schema.get("type", "")
    return GoStruct(
        _ordered(given, _SCHEMA),
        {
            "Type": GoList(kind) if isinstance(kind, list) else kind,
            "AnyOf": GoList(_schema(item) for item in kinds if isinstance(item, Mapping)),
            "Description": schema.get("description", ""),
            "Enum": go_value(schema.get("enum") or []),
            "Items": go_value(schema.get("items")),
            "Required": go_value(schema.get("required") or []),
            "Properties": typed,
            "Defs": go_value(schema.get("$defs")),
        },
    )


def _ordered(value: Mapping[str, object], first: Sequence[str]) -> dict[str, object]:
    """Return *value* with the members that Go's struct has in front, in its order."""
    known = {key: value[key] for key in first if key in value}
    return {**known, **{key: item for key, item in value.items() if key not in known}}


def _plain(value: object) -> object:
    """Return what *value* is in JSON; maps are sorted, as Go sorts them."""
    if isinstance(value, GoStruct):
        return value.plain
    if isinstance(value, GoNil):
        return None
    if isinstance(value, GoBool):
        return bool(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
