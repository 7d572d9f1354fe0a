"""What clients of Ollama's API get: pieces of an answer line by line, or all of it at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from modelpack.engine.base import Delta, Finished
from modelpack.engine.likely import TokenLogprob
from modelpack.server.daemon.answers import dumps, now
from modelpack.server.daemon.gathered import Gathered, call_id
from modelpack.server.daemon.speaking import Replies
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking

_NS = 1_000_000_000


class Teller:
    """Writes one answer of the model *name*: as a `message` if it *chats*, else as `response`."""

    def __init__(self, name: str, *, chats: bool, logprobs: bool = False) -> None:
        self._name = name
        self._chats = chats
        self._logprobs = logprobs
        self._calls = 0
        self._began_ns = time.perf_counter_ns()
        self._head = f'{{"model":{dumps(name)},"created_at":"'
        self._before = '","message":{"role":"assistant","content":' if chats else '","response":'
        self._after = '},"done":false}\n' if chats else ',"done":false}\n'

    def lines(self, replies: Replies) -> bytes:
        """Return *replies* as lines of JSON."""
        return "".join(map(self._line, replies)).encode("utf-8", "replace")

    def whole(self, replies: Sequence[Replies]) -> dict[str, object]:
        """Return a whole answer as one object."""
        told = Gathered(replies)
        message: dict[str, object] = {"content": told.text}
        if told.thinking:
            message["thinking"] = told.thinking
        if told.calls:
            message["tool_calls"] = [self._call(call) for call in told.calls]
        logprobs = [logprob_json(one) for one in told.logprobs] if self._logprobs else None
        return self._object(message, told.finished, logprobs)

    def loaded(self, reason: str) -> dict[str, object]:
        """Return the answer to a request that asked nothing."""
        said = self._object({"content": ""}, None, None)
        return {**said, "done": True, "done_reason": reason}

    def _line(self, reply: Delta | Thinking | ToolCall | Finished) -> str:
        if isinstance(reply, Delta) and not self._logprobs:
            return f"{self._head}{now()}{self._before}{dumps(reply.text)}{self._after}"
        message: dict[str, object] = {"content": ""}
        logprobs: list[dict[str, object]] | None = None
        finished = reply if isinstance(reply, Finished) else None
        if isinstance(reply, Delta):
            message["content"] = reply.text
            logprobs = [logprob_json(one) for one in reply.logprobs]
        elif isinstance(reply, Thinking):
            message["thinking"] = reply.text
        elif isinstance(reply, ToolCall):
            message["tool_calls"] = [self._call(reply)]
        return dumps(self._object(message, finished, logprobs)) + "\n"

    def _object(
        self,
        message: dict[str, object],
        finished: Finished | None,
        logprobs: list[dict[str, object]] | None,
    ) -> dict[str, object]:
        said: dict[str, object] = {"model": self._name, "created_at": now()}
        if self._chats:
            said["message"] = {"role": "assistant", **message}
        else:
            said["response"] = message.pop("content")
            said |= message
        said["done"] = finished is not None
        if finished is not None:
            said |= self._end(finished)
        if logprobs:
            said["logprobs"] = logprobs
        return said

    def _end(self, finished: Finished) -> dict[str, object]:
        took = finished.statistics
        said: dict[str, object] = {"done_reason": finished.reason}
        if finished.tokens and not self._chats:
            said["context"] = list(finished.tokens)
        return said | {
            "total_duration": time.perf_counter_ns() - self._began_ns,
            "load_duration": int(took.load_s * _NS),
            "prompt_eval_count": took.prompt_tokens,
            "prompt_eval_duration": int(took.prompt_s * _NS),
            "eval_count": took.generated_tokens,
            "eval_duration": int(took.generation_s * _NS),
            **took.forgotten,
        }

    def _call(self, call: ToolCall) -> dict[str, object]:
        index, self._calls = self._calls, self._calls + 1
        function = {"index": index, "name": call.name, "arguments": dict(call.arguments)}
        return {"id": call.id or call_id(), "function": function}


def logprob_json(one: TokenLogprob) -> dict[str, object]:
    """Return a token and how likely it was; the likeliest others with it."""
    said = _token(one)
    if one.top:
        said["top_logprobs"] = [_token(other) for other in one.top]
    return said


def _token(one: TokenLogprob) -> dict[str, object]:
    return {"token": one.text, "logprob": one.logprob, "bytes": list(one.data)}
