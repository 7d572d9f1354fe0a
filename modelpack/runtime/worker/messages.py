"""What goes between a worker and its parent, as JSON values."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

from modelpack import errors
from modelpack.engine.base import Delta, Finished, Grammar, Statistics
from modelpack.engine.likely import TokenLogprob, Top
from modelpack.errors import EngineError, ModelPackError
from modelpack.modelfile.model import Message
from modelpack.runtime.ask import Ask, AskScores, AskText, AskTokens, AskVectors, Wish
from modelpack.runtime.embedded import Part
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.reply import Reply
from modelpack.template.chat import ChatMessage, ToolCall
from modelpack.template.replies.parts import Thinking

Json: TypeAlias = dict[str, Any]

_COMPLAINT = 300
"""Characters of what an error says that nobody foresaw."""
_PATHS = ("weights", "adapters", "projectors")


__all__ = ("Ask", "AskScores", "AskText", "AskTokens", "AskVectors", "Wish")

Piece: TypeAlias = Reply | Part
"""What a worker brings; `Finished` comes last."""

_WISHES: dict[str, type[Wish]] = {
    "answer": Ask,
    "tokens": AskTokens,
    "text": AskText,
    "vectors": AskVectors,
    "scores": AskScores,
}
_TUPLES = ("tools", "context", "tokens", "texts", "documents")


def wish_to_json(wish: Wish) -> Json:
    """Return *wish* as a JSON object."""
    kind = next(name for name, known in _WISHES.items() if type(wish) is known)
    value = {part.name: getattr(wish, part.name) for part in fields(wish)}
    if isinstance(wish, Ask | AskTokens):
        value["messages"] = [_message_to_json(message) for message in wish.messages]
    if isinstance(wish, Ask):
        value["options"] = dict(wish.options)
        value["logit_bias"] = list(wish.logit_bias.items())
        value["grammar"] = None if wish.grammar is None else asdict(wish.grammar)
    return {"wish": kind, **value}


def wish_from_json(value: Json) -> Wish:
    """Return what `wish_to_json` was given."""
    said = dict(value)
    known = _WISHES[said.pop("wish")]
    said |= {name: tuple(said[name]) for name in _TUPLES if name in said}
    if "messages" in said:
        said["messages"] = tuple(map(_message_from_json, said["messages"]))
    if known is Ask:
        said["logit_bias"] = {int(token): float(bias) for token, bias in said["logit_bias"]}
        said["grammar"] = None if said["grammar"] is None else Grammar(**said["grammar"])
    return known(**said)


def _message_to_json(message: ChatMessage) -> Json:
    images = [base64.b64encode(image).decode() for image in message.images]
    return {**asdict(replace(message, images=())), "images": images}


def _message_from_json(value: Json) -> ChatMessage:
    calls = tuple(ToolCall(**call) for call in value["tool_calls"])
    images = tuple(base64.b64decode(image) for image in value["images"])
    return ChatMessage(**{**value, "tool_calls": calls, "images": images})


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
        if reply.logprobs:
            return [number, "told", [reply.text, list(map(_logprob_to_json, reply.logprobs))]]
        return [number, "text", reply.text]
    if isinstance(reply, Thinking):
        return [number, "thinking", reply.text]
    if isinstance(reply, ToolCall):
        return [number, "call", {**asdict(reply), "arguments": dict(reply.arguments)}]
    return [number, "end", asdict(reply)]


def _logprob_to_json(said: TokenLogprob) -> list[object]:
    """Return *said* as a JSON array; its bytes as the characters of the same numbers."""
    top = Top.of(said.top)
    names = [data.decode("latin-1") for data in top.data]
    return [said.token, said.data.decode("latin-1"), said.logprob, top.tokens, names, top.logprobs]


def _logprob_from_json(value: Any) -> TokenLogprob:  # noqa: ANN401 - JSON
    token, data, logprob, tokens, names, logprobs = value
    top = Top(tokens, [name.encode("latin-1") for name in names], logprobs)
    return TokenLogprob(token, data.encode("latin-1"), logprob, top)


def part_to_json(number: int, part: Part) -> list[object]:
    """Return *part* of what the request *number* wants as a JSON array.

    Its numbers have 32 bits and go as such, which is a quarter of their digits and much faster.
    """
    rows = [base64.b64encode(array("f", row).tobytes()).decode() for row in part.rows]
    return [number, "part", [part.numbers, rows, part.tokens]]


def error_to_json(
    number: int, error: Exception, doing: str = "answering the request"
) -> list[object]:
    """Return the failure of the request *number* as a JSON array.

    One that nobody foresaw is an `EngineError` that says what it was in *doing* what.
    """
    if not isinstance(error, ModelPackError):
        kind, text = type(error).__name__, " ".join(str(error).split())[:_COMPLAINT]
        error = EngineError(f"{doing} failed: {kind}{': ' if text else ''}{text}")
    said = {"kind": type(error).__name__, "text": str(error), "hint": error.hint}
    return [number, "error", said]


def reply_from_json(kind: str, value: Any) -> Piece | ModelPackError:  # noqa: ANN401 - JSON
    """Return what was made JSON of."""
    if kind == "text":
        return Delta(value)
    if kind == "told":
        return Delta(value[0], tuple(map(_logprob_from_json, value[1])))
    if kind == "thinking":
        return Thinking(value)
    if kind == "call":
        return ToolCall(**value)
    if kind == "part":
        numbers, rows, tokens = value
        return Part(numbers, [array("f", base64.b64decode(row)).tolist() for row in rows], tokens)
    if kind == "end":
        statistics, tokens = Statistics(**value["statistics"]), tuple(value["tokens"])
        return Finished(**{**value, "statistics": statistics, "tokens": tokens})
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
