"""Thoughts, text and calls in each API's words, from an answer that has all of them."""

from __future__ import annotations

import json

from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.errors import EngineError
from modelpack.server.daemon.answers import dumps
from modelpack.server.daemon.anthropic.replies import Message
from modelpack.server.daemon.ollama.replies import Teller
from modelpack.server.daemon.openai.replies import Chat, usage
from modelpack.server.daemon.openai.replying import Reply
from modelpack.server.daemon.speaking import merged
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking

CALL = ToolCall(name="f", arguments={"x": 1, "é": None})
TOOK = Statistics(prompt_tokens=7, cached_tokens=3, generated_tokens=5)
ANSWER = (
    [Thinking("hm"), Thinking(", so")],
    [Delta("a\u2028"), Delta('"b')],
    [CALL, CALL, Finished("stop", TOOK)],
)


def events(data: bytes) -> list[dict]:
    return [
        json.loads(line[6:])
        for line in data.decode().split("\n")
        if line.startswith("data: {")
    ]  # fmt: skip


def test_what_comes_together_is_one_piece():
    assert merged([*ANSWER[0], *ANSWER[1]]) == [Thinking("hm, so"), Delta('a\u2028"b')]
    assert merged(ANSWER[2]) == ANSWER[2]


def test_whatever_is_said_stays_on_its_line():
    said = {"text": "".join(map(chr, (*range(0xA1), 0x2028, 0x2029, 0xFEFF, 0x1F600)))}
    assert len(dumps(said).splitlines()) == 1
    assert json.loads(dumps(said)) == said


def test_what_the_context_had_no_room_for_is_told():
    took = Statistics(prompt_tokens=7, left_out_messages=3, shifted_tokens=2)
    answer = ([Delta("a")], [Finished("stop", took)])
    forgotten = {"left_out_messages": 3, "shifted_tokens": 2}
    ends = (
        Teller("m", chats=True).whole(answer),
        usage([took]),
        events(b"".join(map(Message("m").take, answer)))[-2]["usage"],
    )
    for end in ends:
        assert {name: end.get(name) for name in (*forgotten, "truncated_tokens")} == {
            **forgotten,
            "truncated_tokens": None,
        }


def test_ollama():
    teller = Teller("m", chats=True)
    lines = [
        json.loads(line) for part in ANSWER for line in teller.lines(part).split(b"\n") if line
    ]
    messages = [line["message"] for line in lines]
    assert "".join(m.get("thinking", "") for m in messages) == "hm, so"
    assert "".join(m["content"] for m in messages) == 'a\u2028"b'
    calls = [call for m in messages for call in m.get("tool_calls", ())]
    assert [call["function"]["index"] for call in calls] == [0, 1]
    assert calls[0]["function"]["arguments"] == CALL.arguments
    assert calls[0]["id"] != calls[1]["id"]
    assert [line["done"] for line in lines] == [False] * 6 + [True]
    whole = Teller("m", chats=True).whole(ANSWER)
    assert whole["message"]["thinking"] == "hm, so"
    assert len(whole["message"]["tool_calls"]) == 2
    assert whole["prompt_eval_count"] == 7


def test_openai_chat():
    chat = Chat("m", with_usage=True, logprobs=False)
    data = chat.begin(0) + b"".join(chat.events(0, part) for part in ANSWER) + chat.end()
    found = events(data)
    deltas = [choice["delta"] for event in found for choice in event["choices"]]
    assert "".join(d.get("reasoning", "") for d in deltas) == "hm, so"
    assert "".join(d.get("content", "") for d in deltas) == 'a\u2028"b'
    calls = [call for d in deltas for call in d.get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0, 1]
    assert json.loads(calls[0]["function"]["arguments"]) == CALL.arguments
    assert found[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert found[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    assert data.endswith(b"data: [DONE]\n\n")
    (choice,) = Chat("m", with_usage=False, logprobs=False).whole([ANSWER])["choices"]
    assert choice["message"]["reasoning"] == "hm, so"
    assert choice["finish_reason"] == "tool_calls"


def test_openai_responses():
    reply = Reply("m", {})
    data = reply.begin() + b"".join(reply.take(part) for part in ANSWER)
    kinds = [item["type"] for item in reply.whole()["output"]]
    assert kinds == ["reasoning", "message", "function_call", "function_call"]
    found = events(data)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    opened = [e["output_index"] for e in found if e["type"] == "response.output_item.added"]
    closed = [e["output_index"] for e in found if e["type"] == "response.output_item.done"]
    assert opened == closed == [0, 1, 2, 3]
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["output"] == reply.whole()["output"]
    assert reply.whole()["output"][0]["summary"][0]["text"] == "hm, so"


def test_openai_responses_that_end_early_or_fail():
    reply = Reply("m", {})
    data = reply.take([Delta("a"), Finished("length", TOOK)])
    assert events(data)[-1]["type"] == "response.incomplete"
    assert reply.whole()["incomplete_details"] == {"reason": "max_output_tokens"}
    failed = events(Reply("m", {}).fail(EngineError("no")))
    assert failed[-1]["response"]["error"]["message"] == "no"


def test_anthropic():
    message = Message("m")
    message.input_tokens = 7
    data = message.begin() + b"".join(message.take(part) for part in ANSWER)
    found = events(data)
    assert found[0]["message"]["usage"]["input_tokens"] == 7
    kinds = [block["type"] for block in message.whole()["content"]]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    started = [e["index"] for e in found if e["type"] == "content_block_start"]
    stopped = [e["index"] for e in found if e["type"] == "content_block_stop"]
    assert started == stopped == [0, 1, 2, 3]
    assert message.whole()["content"][0]["thinking"] == "hm, so"
    assert message.whole()["content"][1]["text"] == 'a\u2028"b'
    assert message.whole()["stop_reason"] == "tool_use"
    assert message.whole()["usage"]["cache_read_input_tokens"] == 3
    assert found[-1]["type"] == "message_stop"
