"""A response as it comes to be: items of output, and an event for everything that happens to it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping

from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.errors import ModelPackError
from modelpack.server.daemon.failures import message_of
from modelpack.server.daemon.openai.replies import event
from modelpack.server.daemon.speaking import Replies
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking

Item = dict[str, object]


class Reply:
    """One response of the model *name*; *said* is what it repeats of its request."""

    def __init__(self, name: str, said: Mapping[str, object]) -> None:
        self._id = _id("resp")
        self._head: Item = {
            "id": self._id,
            "object": "response",
            "created_at": int(time.time()),
            "model": name,
            **said,
        }
        self._status = "in_progress"
        self._details: Item | None = None
        self._error: Item | None = None
        self._output: list[Item] = []
        self._open = ""
        """What kind of item is being written: `message`, `reasoning` or nothing."""
        self._text: list[str] = []
        self._took: Statistics | None = None
        self._sequence = 0

    def begin(self) -> bytes:
        """Return the events that a response begins with."""
        whole = self.whole()
        return self._event("response.created", response=whole) + self._event(
            "response.in_progress", response=whole
        )

    def take(self, replies: Replies) -> bytes:
        """Take note of *replies*, and return the events that tell of them."""
        return b"".join(map(self._take, replies))

    def fail(self, error: ModelPackError) -> bytes:
        """Return the events of a response that has failed."""
        self._status = "failed"
        self._error = {"code": "server_error", "message": message_of(error)}
        return self._event("response.failed", response=self.whole())

    def whole(self) -> Item:
        """Return the response as it is now."""
        return {
            **self._head,
            "status": self._status,
            "error": self._error,
            "incomplete_details": self._details,
            "output": list(self._output),
            "usage": _usage(self._took) if self._took else None,
        }

    def _take(self, reply: Delta | Thinking | ToolCall | Finished) -> bytes:
        if isinstance(reply, Delta):
            return self._become("message") + self._more(reply.text)
        if isinstance(reply, Thinking):
            return self._become("reasoning") + self._more(reply.text)
        if isinstance(reply, ToolCall):
            return self._become("") + self._call(reply)
        closed = self._become("")
        self._took = reply.statistics
        if reply.reason == "length":
            self._status, self._details = "incomplete", {"reason": "max_output_tokens"}
            return closed + self._event("response.incomplete", response=self.whole())
        self._status = "completed"
        return closed + self._event("response.completed", response=self.whole())

    @property
    def _at(self) -> int:
        return len(self._output) - 1

    def _become(self, kind: str) -> bytes:
        """Close the item that is being written unless it is of *kind*, and open one that is."""
        if kind == self._open:
            return b""
        said = self._close() if self._open else b""
        self._open, self._text = kind, []
        return said + (self._begin(kind) if kind else b"")

    def _begin(self, kind: str) -> bytes:
        if kind == "message":
            item: Item = {"id": _id("msg"), "type": "message", "status": "in_progress"}
            item |= {"role": "assistant", "content": []}
        else:
            item = {"id": _id("rs"), "type": "reasoning", "summary": []}
        self._output.append(item)
        added = self._event("response.output_item.added", output_index=self._at, item=dict(item))
        return added + self._event(self._part_event("added"), **self._where(), part=self._part(""))

    def _more(self, text: str) -> bytes:
        self._text.append(text)
        if self._open == "message":
            return self._event(
                "response.output_text.delta", **self._where(), delta=text, logprobs=[]
            )
        return self._event("response.reasoning_summary_text.delta", **self._where(), delta=text)

    def _close(self) -> bytes:
        text, where, item = "".join(self._text), self._where(), self._output[-1]
        part = self._part(text)
        if self._open == "message":
            done = self._event("response.output_text.done", **where, text=text, logprobs=[])
            item |= {"status": "completed", "content": [part]}
        else:
            done = self._event("response.reasoning_summary_text.done", **where, text=text)
            item["summary"] = [part]
        done += self._event(self._part_event("done"), **where, part=part)
        return done + self._event("response.output_item.done", output_index=self._at, item=item)

    def _call(self, call: ToolCall) -> bytes:
        arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
        item: Item = {"id": _id("fc"), "type": "function_call", "status": "in_progress"}
        item |= {"call_id": call.id or _id("call"), "name": call.name, "arguments": ""}
        self._output.append(item)
        where: Item = {"item_id": item["id"], "output_index": self._at}
        said = self._event("response.output_item.added", output_index=self._at, item=dict(item))
        said += self._event("response.function_call_arguments.delta", **where, delta=arguments)
        said += self._event(
            "response.function_call_arguments.done", **where, name=call.name, arguments=arguments
        )
        item |= {"status": "completed", "arguments": arguments}
        return said + self._event("response.output_item.done", output_index=self._at, item=item)

    def _where(self) -> Item:
        inner = "content_index" if self._open == "message" else "summary_index"
        return {"item_id": self._output[-1]["id"], "output_index": self._at, inner: 0}

    def _part_event(self, what: str) -> str:
        kind = "content_part" if self._open == "message" else "reasoning_summary_part"
        return f"response.{kind}.{what}"

    def _part(self, text: str) -> Item:
        if self._open == "message":
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {"type": "summary_text", "text": text}

    def _event(self, kind: str, **said: object) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        return event({"type": kind, "sequence_number": number, **said}, kind)


def _usage(took: Statistics) -> Item:
    return {
        "input_tokens": took.prompt_tokens,
        "input_tokens_details": {"cached_tokens": took.cached_tokens},
        "output_tokens": took.generated_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": took.prompt_tokens + took.generated_tokens,
        **took.forgotten,
    }


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(16)}"
