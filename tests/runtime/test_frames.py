from __future__ import annotations

import json
import socket
import struct
import threading
from pathlib import Path

import pytest

from modelpack import errors, limits
from modelpack.engine.base import Delta, Finished, Grammar, Statistics
from modelpack.engine.likely import TokenLogprob
from modelpack.errors import EngineError, LimitError
from modelpack.modelfile.model import Message
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.worker import messages
from modelpack.runtime.worker.frames import Frames
from modelpack.template.chat import ChatMessage, ToolCall
from modelpack.template.replies.parts import Thinking


@pytest.fixture
def ends():
    near, far = socket.socketpair()
    with near, far:
        yield near, far


VALUES = [{"a": [1, "ü\U0001f600", None]}, [], "x" * 300_000, 0]


def test_values_come_as_they_went_however_they_are_cut(ends):
    sender, reader = ends
    receiver = Frames(reader)
    done = threading.Thread(target=lambda: [Frames(sender).send(value) for value in VALUES])
    done.start()
    assert [receiver.receive() for _ in VALUES] == VALUES
    done.join()
    data = json.dumps({"b": 1}).encode()
    for byte in struct.pack(">I", len(data)) + data:
        sender.send(bytes([byte]))
    assert receiver.receive() == {"b": 1}
    sender.close()
    assert receiver.receive() is None


def test_a_frame_that_is_cut_off_is_the_end(ends):
    ends[0].send(struct.pack(">I", 10) + b"[1")
    ends[0].close()
    assert Frames(ends[1]).receive() is None


def test_a_wait_that_is_too_long_loses_nothing(ends):
    ends[1].settimeout(0.01)
    receiver = Frames(ends[1])
    ends[0].send(struct.pack(">I", 5) + b"[1,")
    with pytest.raises(TimeoutError):
        receiver.receive()
    ends[0].send(b"2]")
    assert receiver.receive() == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", limits.FRAME + 1),
        struct.pack(">I", 3) + b"{x}",
        struct.pack(">I", 200_000) + b"[" * 200_000,
    ],
)
def test_nonsense_is_an_error(ends, data):
    threading.Thread(target=ends[0].sendall, args=(data,)).start()
    with pytest.raises(EngineError, match="other process"):
        Frames(ends[1]).receive()


def test_what_is_too_large_is_not_sent(ends, monkeypatch):
    monkeypatch.setattr(limits, "FRAME", 100)
    with pytest.raises(LimitError, match="more than a model gets"):
        Frames(ends[0]).send("x" * 100)


def through(value):
    return json.loads(json.dumps(value))


CALL = ToolCall(name="f", arguments={"x": [1, {"y": None}]}, id="1")
WISHES = [
    messages.Ask(raw="Once"),
    messages.Ask(
        number=3,
        messages=(
            ChatMessage(role="user", content="Hi", images=(b"\x89PNG\xff", b"")),
            ChatMessage(role="assistant", thinking="Hm", tool_calls=(CALL, CALL)),
            ChatMessage(role="tool", content="18", tool_name="f", tool_call_id="1"),
        ),
        tools=({"type": "function"},),
        tool_choice="f",
        think="high",
        format={"type": "object"},
        options={"seed": 1, "stop": ["a", "b"]},
    ),
    messages.Ask(
        suffix="}",
        context=(1, 2),
        system="",
        template="{{ .Prompt }}",
        grammar=Grammar("regex", "a+"),
        logit_bias={5: -1.5, 6: float("-inf")},
        logprobs=True,
        top_logprobs=3,
        truncate=False,
        shift=False,
        wants_tokens=True,
    ),
    messages.AskTokens(number=1, messages=(ChatMessage(role="user"),), tools=({"a": 1},)),
    messages.AskTokens(raw="Hi", special=False, wants_tokens=True),
    messages.AskText(tokens=(1, 2)),
    messages.AskVectors(texts=("a", "b"), dimensions=3),
    messages.AskScores(query="a", documents=("b",)),
]


@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_arrives_as_it_was(wish):
    assert messages.wish_from_json(through(messages.wish_to_json(wish))) == wish


def test_files_arrive_as_they_were():
    files = ModelFiles(
        name="m",
        weights=(Path("/a/1"), Path("/a/2")),
        adapters=(Path("/b"),),
        template="{{ .Prompt }}",
        parameters={"temperature": 0.5},
        messages=(Message("user", "Hi"),),
    )
    assert messages.files_from_json(through(messages.files_to_json(files))) == files


LIKELY = TokenLogprob(5, b"\xc3", -0.5, (TokenLogprob(6, b"\xff\x00", -1.0),))
REPLIES = [
    Delta("ü"),
    Delta("ü", (LIKELY, LIKELY)),
    Thinking("Hm"),
    CALL,
    Finished("length", Statistics(prompt_tokens=3, total_s=0.5)),
    Finished("stop", Statistics(), stop="END", tokens=(1, 2)),
]


def test_replies_arrive_as_they_were():
    frame = through([messages.reply_to_json(at, reply) for at, reply in enumerate(REPLIES)])
    assert messages.replies_from_json(frame) == list(enumerate(REPLIES))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.TemplateError("x", hint="y"), errors.TemplateError),
        (errors.MissingExtraError("x", "runtime"), EngineError),
    ],
)
def test_errors_arrive_as_they_were_where_that_is_possible(error, kind):
    (number, got), *_ = messages.replies_from_json(through([messages.error_to_json(5, error)]))
    assert number == 5
    assert type(got) is kind
    assert (str(got), got.hint) == (str(error), error.hint)


@pytest.mark.parametrize("kind", ["ModelPackError", "annotations", "os", "ClassVar", "Nothing"])
def test_only_errors_are_made_of_errors(kind):
    got = messages.error_from_json({"kind": kind, "text": "x", "hint": None})
    assert isinstance(got, errors.ModelPackError)
