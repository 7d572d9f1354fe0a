"""What clients of OpenAI's chat and completion API get: an object, or events one by one."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence

from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.engine.likely import TokenLogprob
from modelpack.server.daemon.answers import dumps
from modelpack.server.daemon.gathered import Gathered, call_id
from modelpack.server.daemon.speaking import Replies
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_modelpack"


def event(value: object, name: str = "") -> bytes:
    """Return *value* as one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {dumps(value)}\n\n".encode("utf-8", "replace")


class Chat:
    """Writes the answers to one request for chat completions."""

    def __init__(self, name: str, *, with_usage: bool, logprobs: bool) -> None:
        self._name = name
        self._with_usage = with_usage
        self._logprobs = logprobs
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._calls: dict[int, int] = {}
        self._usage: list[Statistics] = []
        head = {**self._head("chat.completion.chunk")}
        self._before = f'data: {dumps(head)[:-1]},"choices":[{{"index":'
        usage = ',"usage":null' if with_usage else ""
        self._after = f'}},"logprobs":null,"finish_reason":null}}]{usage}}}\n\n'

    def begin(self, index: int) -> bytes:
        """Return the first event of the choice *index*."""
        return self._event(index, {"role": "assistant", "content": ""})

    def events(self, index: int, replies: Replies) -> bytes:
        """Return the events for *replies* of the choice *index*."""
        return b"".join(self._one(index, reply) for reply in replies)

    def end(self) -> bytes:
        """Return what ends the stream."""
        if not self._with_usage:
            return DONE
        said = {**self._head("chat.completion.chunk"), "choices": [], "usage": usage(self._usage)}
        return event(said) + DONE

    def whole(self, answers: Sequence[Sequence[Replies]]) -> dict[str, object]:
        """Return whole answers as one object."""
        told = [Gathered(answer) for answer in answers]
        return {
            **self._head("chat.completion"),
            "choices": [self._choice(index, one) for index, one in enumerate(told)],
            "usage": usage([one.finished.statistics for one in told]),
        }

    def _choice(self, index: int, told: Gathered) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": told.text or None}
        if not told.calls:
            message["content"] = told.text
        if told.thinking:
            message["reasoning"] = told.thinking
        if told.calls:
            message["tool_calls"] = [call_json(call) for call in told.calls]
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs_json(told.logprobs) if self._logprobs else None,
            "finish_reason": finish_reason(told.finished, called=bool(told.calls)),
        }

    def _one(self, index: int, reply: Delta | Thinking | ToolCall | Finished) -> bytes:
        if isinstance(reply, Delta):
            if not self._logprobs:
                text = dumps(reply.text)
                line = f'{self._before}{index},"delta":{{"content":{text}{self._after}'
                return line.encode("utf-8", "replace")
            return self._event(index, {"content": reply.text}, logprobs_json(reply.logprobs))
        if isinstance(reply, Thinking):
            return self._event(index, {"reasoning": reply.text})
        if isinstance(reply, ToolCall):
            number = self._calls.get(index, 0)
            self._calls[index] = number + 1
            return self._event(index, {"tool_calls": [{"index": number, **call_json(reply)}]})
        self._usage.append(reply.statistics)
        reason = finish_reason(reply, called=index in self._calls)
        return self._event(index, {}, reason=reason)

    def _event(
        self,
        index: int,
        delta: Mapping[str, object],
        logprobs: object = None,
        reason: str | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        said = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return event({**said, "usage": None} if self._with_usage else said)

    def _head(self, kind: str) -> dict[str, object]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._name,
            "system_fingerprint": FINGERPRINT,
        }


class Completion:
    """Writes the answers to one request for completions."""

    def __init__(self, name: str, *, with_usage: bool, logprobs: bool) -> None:
        self._name = name
        self._with_usage = with_usage
        self._logprobs = logprobs
        self._id = f"cmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._usage: list[Statistics] = []
        self._lengths: dict[int, int] = {}

    def begin(self, index: int) -> bytes:
        """Return nothing: the choice *index* begins with its text."""
        del index
        return b""

    def events(self, index: int, replies: Replies) -> bytes:
        """Return the events for *replies* of the choice *index*."""
        return b"".join(self._one(index, reply) for reply in replies)

    def end(self) -> bytes:
        """Return what ends the stream."""
        if not self._with_usage:
            return DONE
        return event({**self._head(), "choices": [], "usage": usage(self._usage)}) + DONE

    def whole(self, answers: Sequence[Sequence[Replies]]) -> dict[str, object]:
        """Return whole answers as one object."""
        told = [Gathered(answer) for answer in answers]
        choices = [
            self._choice(index, one.text, one.logprobs, finish_reason(one.finished, called=False))
            for index, one in enumerate(told)
        ]
        return {
            **self._head(),
            "choices": choices,
            "usage": usage([one.finished.statistics for one in told]),
        }

    def _one(self, index: int, reply: Delta | Thinking | ToolCall | Finished) -> bytes:
        if isinstance(reply, Finished):
            self._usage.append(reply.statistics)
            reason = finish_reason(reply, called=False)
            return event({**self._head(), "choices": [self._choice(index, "", (), reason)]})
        if not isinstance(reply, Delta):
            return b""
        choice = self._choice(index, reply.text, reply.logprobs, None)
        return event({**self._head(), "choices": [choice]})

    def _choice(
        self, index: int, text: str, logprobs: Sequence[TokenLogprob], reason: str | None
    ) -> dict[str, object]:
        said = self._likely(index, logprobs) if self._logprobs else None
        return {"text": text, "index": index, "logprobs": said, "finish_reason": reason}

    def _likely(self, index: int, logprobs: Sequence[TokenLogprob]) -> dict[str, object]:
        at = self._lengths.get(index, 0)
        offsets: list[int] = []
        for one in logprobs:
            offsets.append(at)
            at += len(one.text)
        self._lengths[index] = at
        return {
            "tokens": [one.text for one in logprobs],
            "token_logprobs": [one.logprob for one in logprobs],
            "top_logprobs": [{top.text: top.logprob for top in one.top} for one in logprobs],
            "text_offset": offsets,
        }

    def _head(self) -> dict[str, object]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._name,
            "system_fingerprint": FINGERPRINT,
        }


def finish_reason(finished: Finished, *, called: bool) -> str:
    """Return why an answer ended, in OpenAI's words."""
    if called and finished.reason == "stop":
        return "tool_calls"
    return "length" if finished.reason == "length" else "stop"


def usage(took: Sequence[Statistics]) -> dict[str, object]:
    """Return how many tokens *took* took; a prompt that several choices share counts once."""
    prompt = took[0].prompt_tokens if took else 0
    cached = took[0].cached_tokens if took else 0
    generated = sum(one.generated_tokens for one in took)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": cached},
        **(took[0].forgotten if took else {}),
    }


def call_json(call: ToolCall) -> dict[str, object]:
    """Return *call*, its arguments as JSON in a string."""
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id or call_id(), "type": "function", "function": function}


def logprobs_json(logprobs: Sequence[TokenLogprob]) -> dict[str, object]:
    """Return how likely the tokens of a piece of text were."""
    content = [{**_token(one), "top_logprobs": [_token(t) for t in one.top]} for one in logprobs]
    return {"content": content, "refusal": None}


def _token(one: TokenLogprob) -> dict[str, object]:
    return {"token": one.text, "logprob": one.logprob, "bytes": list(one.data)}
