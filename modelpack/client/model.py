"""A model of a server: answers as one in this process does."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelpack.client.http import Client
from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.errors import ServerError
from modelpack.template.chat import ChatMessage, ToolCall
from modelpack.template.replies.parts import Thinking

if TYPE_CHECKING:
    from modelpack.engine.base import Flag
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.reply import Format, Reply
    from modelpack.template.chat import Think

    Parameters = Mapping[str, ParameterValue]

_NOTHING: Parameters = MappingProxyType({})
_NS = 1_000_000_000
_REASONS = ("stop", "length")


class ServedModel:
    """The model that the server of *client* calls *name*."""

    def __init__(self, client: Client, name: str, keep_alive: str = "") -> None:
        self._client = client
        self.name = name
        self._more: dict[str, object] = {"keep_alive": keep_alive} if keep_alive else {}

    def load(self, options: Parameters = _NOTHING) -> None:
        """Have the model loaded."""
        self._client.ask("POST", "/api/chat", {**self._asked(options), "stream": False})

    def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Mapping[str, object]] = (),
        think: Think = None,
        format: Format = None,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> Iterator[Reply]:
        """Answer *messages*; see `modelpack.runtime.loaded.LoadedModel.chat`."""
        body = {**self._asked(options), "messages": [_message(one) for one in messages]}
        body |= {"tools": list(tools)} if tools else {}
        body |= {"think": think} if think is not None else {}
        body |= {"format": format} if format is not None else {}
        with closing(self._client.lines("/api/chat", body)) as lines:  # type: ignore[type-var]
            for line in lines:
                yield from _replies(line)
                if cancel is not None and cancel.is_set():
                    yield Finished("cancelled", Statistics())
                    return

    def embed(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = True,
        dimensions: int | None = None,
        options: Parameters = _NOTHING,
    ) -> list[list[float]]:
        """Return vectors of *texts*."""
        body = {**self._asked(options), "input": list(texts), "truncate": truncate}
        body |= {"dimensions": dimensions} if dimensions else {}
        found = self._client.ask("POST", "/api/embed", body).get("embeddings")
        if not isinstance(found, list):
            raise ServerError("the server sent no vectors")
        return found

    def _asked(self, options: Parameters) -> dict[str, object]:
        return {"model": self.name, "options": dict(options), **self._more}


def _message(message: ChatMessage) -> dict[str, object]:
    said: dict[str, object] = {"role": message.role, "content": message.content}
    if message.thinking:
        said["thinking"] = message.thinking
    if message.images:
        said["images"] = [base64.b64encode(image).decode() for image in message.images]
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    for name in ("tool_name", "tool_call_id"):
        if value := getattr(message, name):
            said[name] = value
    return said


def _replies(line: Mapping[str, Any]) -> Iterator[Reply]:
    message = line.get("message") or {}
    if thinking := message.get("thinking"):
        yield Thinking(str(thinking))
    if content := message.get("content"):
        yield Delta(str(content))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield ToolCall(
            name=str(function.get("name", "")),
            arguments=function.get("arguments") or {},
            id=str(call.get("id") or ""),
        )
    if line.get("done"):
        reason = line.get("done_reason")
        yield Finished(reason if reason in _REASONS else "stop", _statistics(line))


def _statistics(line: Mapping[str, Any]) -> Statistics:
    return Statistics(
        prompt_tokens=int(line.get("prompt_eval_count", 0)),
        prompt_s=line.get("prompt_eval_duration", 0) / _NS,
        generated_tokens=int(line.get("eval_count", 0)),
        generation_s=line.get("eval_duration", 0) / _NS,
        load_s=line.get("load_duration", 0) / _NS,
        total_s=line.get("total_duration", 0) / _NS,
        truncated_tokens=int(line.get("truncated_tokens", 0)),
        shifted_tokens=int(line.get("shifted_tokens", 0)),
        left_out_messages=int(line.get("left_out_messages", 0)),
    )
