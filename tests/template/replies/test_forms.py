"""Every way to write calls, whole and in pieces."""

import json

import pytest
from template.replies.recorded import (
    COLOGNE,
    OSLO,
    RECORDED,
    THINK,
    TOOLS,
    halves,
    read,
    written_in,
)

from modelpack.template.chat import ToolCall
from modelpack.template.replies.detect import Calls
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.parts import Text, Thinking

recorded = pytest.mark.parametrize(("calls", "reply", "parts"), RECORDED.values(), ids=RECORDED)


@recorded
def test_a_reply_is_read(calls, reply, parts):
    assert read([reply], written_in(calls)) == parts


@recorded
def test_it_does_not_matter_how_a_reply_comes(calls, reply, parts):
    form = written_in(calls)
    assert read(reply, form) == parts
    for pieces in halves(reply):
        assert read(pieces, form) == parts


@recorded
def test_a_reply_that_stops_anywhere_is_read_alike_however_it_comes(calls, reply, parts):
    form = written_in(calls)
    for begun, _ in halves(reply):
        found = read([begun], form)
        assert found == read(begun, form)
        called = [part for part in found if isinstance(part, ToolCall)]
        assert called == [part for part in parts if isinstance(part, ToolCall)][: len(called)]


@recorded
def test_without_tools_calls_are_text(calls, reply, parts):
    del parts
    found = read(reply, written_in(calls), tools=())
    assert not any(isinstance(part, ToolCall) for part in found)
    if calls not in (Calls.HARMONY, Calls.RECIPIENTS):
        assert found == [Text(reply)]


@recorded
def test_every_way_to_write_calls_is_recorded(calls, reply, parts):
    del calls, reply, parts
    assert {entry[0] for entry in RECORDED.values()} == set(Calls)


@pytest.mark.parametrize("calls", [None, *Calls])
@pytest.mark.parametrize(
    "text", ["", " ", "Hello!\n", "a < b, [x], {y}\n\n > > <tool <| [TOOL", "\n\n  indented\n"]
)
def test_text_stays_as_it_is(calls, text):
    assert read([text], written_in(calls)) == read(text, written_in(calls))
    assert read([text], written_in(calls)) == ([Text(text)] if text else [])


def test_text_comes_at_once_but_for_what_may_be_a_marker():
    parser = ReplyParser(written_in(Calls.HERMES), tools=TOOLS)
    assert parser.feed("a <") == [Text("a ")]
    assert parser.feed("tool_") == []
    assert parser.feed("box> ") == [Text("<tool_box> ")]
    assert parser.feed("b") == [Text("b")]
    assert parser.feed("") == []
    assert parser.end() == []


def test_a_call_comes_when_it_is_complete():
    _, reply, _ = RECORDED["hermes"]
    parser = ReplyParser(written_in(Calls.HERMES), tools=TOOLS)
    first = reply.index("\n</tool_call>")
    assert parser.feed(reply[: first - 1]) == []
    assert parser.feed(reply[first - 1 : first]) == [COLOGNE]
    assert parser.feed(reply[first:]) == [OSLO]
    assert parser.end() == []


def test_an_ended_reply_takes_no_more():
    parser = ReplyParser(written_in(None))
    assert parser.feed("a") == [Text("a")]
    assert parser.end() == parser.end() == []
    with pytest.raises(ValueError, match="ended"):
        parser.feed("b")


def test_the_tiny_model_of_the_examples_calls_like_this():
    reply = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    assert read(reply, written_in(Calls.HERMES)) == [OSLO]


def test_thinking_and_calls_follow_one_another():
    reply = "<think>\nLook.\n</think>\n\nWell:\n" + RECORDED["hermes"][1]
    parts = [Thinking("Look."), Text("Well:\n"), COLOGNE, OSLO]
    for pieces in ([reply], reply, *halves(reply)):
        assert read(pieces, written_in(Calls.HERMES, thinking=THINK)) == parts


def test_the_order_of_arguments_is_kept():
    arguments = {"z": 1, "a": {"y": None, "b": [True, 1.5, "ü\n"]}, "": ""}
    reply = f"<tool_call>{json.dumps({'arguments': arguments, 'name': 'now'})}</tool_call>"
    (call,) = read(reply, written_in(Calls.HERMES))
    assert json.dumps(call.arguments) == json.dumps(arguments)


def test_a_call_in_a_marker_may_name_what_was_not_offered():
    reply = '<tool_call>{"name": "other"}</tool_call>'
    assert read([reply], written_in(Calls.HERMES)) == [ToolCall(name="other", arguments={})]
