"""What goes between a worker and its parent, as JSON values."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from modelpack import errors
from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.errors import EngineError, ModelPackError
from modelpack.modelfile.model import Message
from modelpack.modelfile.parameters import ParameterValue
from modelpack.runtime.embedded import Part
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.reply import Format, Reply
from modelpack.template.chat import ChatMessage, Think, ToolCall
from modelpack.template.replies.parts import Thinking

Json: TypeAlias = dict[str, Any]

_PATHS = ("weights", "adapters", "projectors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: a conversation, or with *raw* a text to go on with as it is."""

    number: int = 0
    """What the worker calls it."""
    messages: tuple[ChatMessage, ...] = ()
    raw: str | None = None
    tools: tuple[Mapping[str, object], ...] = ()
    think: Think = None
    format: Format = None
    options: Mapping[str, ParameterValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskVectors:
    """A request for the vectors of texts; what it says is what `VectorModel.embed` takes."""

    number: int = 0
    texts: tuple[str, ...]
    truncate: bool = True
    dimensions: int | None = None
    normalize: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AskScores:
    """A request for how well documents fit a query."""

    number: int = 0
    query: str
    documents: tuple[str, ...]


Wish: TypeAlias = Ask | AskVectors | AskScores
Piece: TypeAlias = Reply | Part
"""What a worker brings; `Finished` comes last."""


def wish_to_json(wish: Wish) -> Json:
    """Return *wish* as a JSON object."""
    return ask_to_json(wish) if isinstance(wish, Ask) else asdict(wish)


def wish_from_json(value: Json) -> Wish:
    """Return what `wish_to_json` was given."""
    if "texts" in value:
        return AskVectors(**{**value, "texts": tuple(value["texts"])})
    if "query" in value:
        return AskScores(**{**value, "documents": tuple(value["documents"])})
    return ask_from_json(value)


def ask_to_json(ask: Ask) -> Json:
    """Return *ask* as a JSON object."""
    value = {name: getattr(ask, name) for name in ("number", "raw", "think", "format")}
    messages = [asdict(message) for message in ask.messages]
    return {**value, "messages": messages, "tools": list(ask.tools), "options": dict(ask.options)}


def ask_from_json(value: Json) -> Ask:
    """Return what `ask_to_json` was given."""
    messages = tuple(
        ChatMessage(**{**said, "tool_calls": tuple(ToolCall(**c) for c in said["tool_calls"])})
        for said in value["messages"]
    )
    return Ask(**{**value, "messages": messages, "tools": tuple(value["tools"])})


def files_to_json(files: ModelFiles) -> Json:
    """Return *files* as a JSON object."""
    value = {name: getattr(files, name) for name in ("name", "template", "system")}
    value |= {name: [str(path) for path in getattr(files, name)] for name in _PATHS}
    value["parameters"] = dict(files.parameters)
    value["messages"] = [asdict(message) for message in files.messages]
    return value


def files_from_json(value: Json) -> ModelFiles:
    """Return what `files_to_json` was given."""
    paths = {name: tuple(map(Path, value[name])) for name in _PATHS}
    messages = tuple(Message(**said) for said in value["messages"])
    return ModelFiles(**{**value, **paths, "messages": messages})


def reply_to_json(number: int, reply: Reply) -> list[object]:
    """Return *reply* to the request *number* as a JSON array."""
    if isinstance(reply, Delta):
        return [number, "text", reply.text]
    if isinstance(reply, Thinking):
        return [number, "thinking", reply.text]
    if isinstance(reply, ToolCall):
        return [number, "call", {**asdict(reply), "arguments": dict(reply.arguments)}]
    return [number, "end", {"reason": reply.reason, "statistics": asdict(reply.statistics)}]


def part_to_json(number: int, part: Part) -> list[object]:
    """Return *part* of what the request *number* wants as a JSON array.

    Its numbers have 32 bits and go as such, which is a quarter of their digits and much faster.
    """
    rows = [base64.b64encode(array("f", row).tobytes()).decode() for row in part.rows]
    return [number, "part", [part.numbers, rows, part.tokens]]


def error_to_json(number: int, error: ModelPackError) -> list[object]:
    """Return the failure of the request *number* as a JSON array."""
    said = {"kind": type(error).__name__, "text": str(error), "hint": error.hint}
    return [number, "error", said]


def reply_from_json(kind: str, value: Any) -> Piece | ModelPackError:  # noqa: ANN401 - JSON
    """Return what was made JSON of."""
    if kind == "text":
        return Delta(value)
    if kind == "thinking":
        return Thinking(value)
    if kind == "call":
        return ToolCall(**value)
    if kind == "part":
        numbers, rows, tokens = value
        return Part(numbers, [array("f", base64.b64decode(row)).tolist() for row in rows], tokens)
    if kind == "end":
        return Finished(value["reason"], Statistics(**value["statistics"]))
    return error_from_json(value)


def error_from_json(value: Json) -> ModelPackError:
    """Return the error that the other process raised."""
    kind = getattr(errors, str(value["kind"]), EngineError)
    simple = isinstance(kind, type) and issubclass(kind, ModelPackError)
    if simple and kind.__init__ is ModelPackError.__init__:
        return kind(value["text"], hint=value["hint"])
    return EngineError(value["text"], hint=value["hint"])


def replies_from_json(frame: Sequence[Any]) -> list[tuple[int, Piece | ModelPackError]]:
    """Return what one step of the engine has brought, with the numbers of the requests."""
    return [(number, reply_from_json(kind, value)) for number, kind, value in frame]
