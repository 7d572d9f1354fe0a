"""What clients of Anthropic's API get: a message, or events that build one.

See: https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import secrets

from modelpack.engine.base import Delta, Finished
from modelpack.server.daemon.answers import dumps
from modelpack.server.daemon.openai.replies import event
from modelpack.server.daemon.speaking import Replies
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking

Block = dict[str, object]

_DELTAS = {"text": "text_delta", "thinking": "thinking_delta"}


class Message:
    """One answer of the model *name*, as it comes to be."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._id = f"msg_{secrets.token_hex(12)}"
        self._blocks: list[Block] = []
        self._open = ""
        """What kind of block is being written: `text`, `thinking` or nothing."""
        self._reason: str | None = None
        self._stop: str | None = None
        self.input_tokens = 0
        """Tokens of the prompt; they are told at the beginning."""
        self._output_tokens = 0
        self._forgotten: dict[str, int] = {}
        self._cached = 0

    def begin(self) -> bytes:
        """Return the events that a message begins with."""
        return _event("message_start", message=self.whole()) + _event("ping")

    def take(self, replies: Replies) -> bytes:
        """Take note of *replies*, and return the events that tell of them."""
        return b"".join(map(self._take, replies))

    def whole(self) -> Block:
        """Return the message as it is now."""
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._name,
            "content": list(self._blocks),
            "stop_reason": self._reason,
            "stop_sequence": self._stop,
            "usage": self._usage(),
        }

    def _take(self, reply: Delta | Thinking | ToolCall | Finished) -> bytes:
        if isinstance(reply, Delta):
            return self._become("text") + self._more(reply.text)
        if isinstance(reply, Thinking):
            return self._become("thinking") + self._more(reply.text)
        if isinstance(reply, ToolCall):
            return self._become("") + self._call(reply)
        said = self._become("")
        self._end(reply)
        delta = {"stop_reason": self._reason, "stop_sequence": self._stop}
        said += _event("message_delta", delta=delta, usage=self._usage())
        return said + _event("message_stop")

    def _end(self, finished: Finished) -> None:
        took = finished.statistics
        self.input_tokens, self._cached = took.prompt_tokens, took.cached_tokens
        self._output_tokens = took.generated_tokens
        self._forgotten = took.forgotten
        if finished.reason == "length":
            self._reason = "max_tokens"
        elif finished.stop:
            self._reason, self._stop = "stop_sequence", finished.stop
        elif any(block["type"] == "tool_use" for block in self._blocks):
            self._reason = "tool_use"
        else:
            self._reason = "end_turn"

    def _usage(self) -> Block:
        return {
            "input_tokens": max(0, self.input_tokens - self._cached),
            "cache_read_input_tokens": self._cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": self._output_tokens,
            **self._forgotten,
        }

    def _become(self, kind: str) -> bytes:
        """Close the block that is being written unless it is of *kind*, and open one that is."""
        if kind == self._open:
            return b""
        said = self._close() if self._open else b""
        self._open = kind
        if not kind:
            return said
        block: Block = {"type": kind, kind: ""}
        if kind == "thinking":
            block["signature"] = ""
        self._blocks.append(block)
        return said + _event("content_block_start", index=self._at, content_block=dict(block))

    def _more(self, text: str) -> bytes:
        block = self._blocks[-1]
        block[self._open] = f"{block[self._open]}{text}"
        delta = {"type": _DELTAS[self._open], self._open: text}
        return _event("content_block_delta", index=self._at, delta=delta)

    def _close(self) -> bytes:
        return _event("content_block_stop", index=self._at)

    def _call(self, call: ToolCall) -> bytes:
        arguments = dict(call.arguments)
        block: Block = {
            "type": "tool_use",
            "id": call.id or f"toolu_{secrets.token_hex(12)}",
            "name": call.name,
            "input": arguments,
        }
        self._blocks.append(block)
        delta = {"type": "input_json_delta", "partial_json": dumps(arguments)}
        return (
            _event("content_block_start", index=self._at, content_block={**block, "input": {}})
            + _event("content_block_delta", index=self._at, delta=delta)
            + _event("content_block_stop", index=self._at)
        )

    @property
    def _at(self) -> int:
        return len(self._blocks) - 1


def _event(kind: str, **said: object) -> bytes:
    return event({"type": kind, **said}, kind)
