"""Replies that are made to break whoever reads them."""

import json
import random
import time

import pytest
from template.replies.recorded import RECORDED, THINK, TOOLS, deepseek, read, written_in

from modelpack.template.chat import ToolCall
from modelpack.template.replies import bounds
from modelpack.template.replies.detect import Calls
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.parts import Text, Thinking

HERMES = written_in(Calls.HERMES, thinking=THINK)
ATTEMPTS = 5


def _call(arguments):
    return f'<tool_call>{{"name": "now", "arguments": {arguments}}}</tool_call>'


@pytest.mark.parametrize(
    "arguments",
    [
        '{"x": ' * 100 + "1" + "}" * 100,
        '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        json.dumps('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        json.dumps('{"x": ' + "[" * 100 + "]" * 100 + "}"),
        json.dumps(json.dumps({"x": 1})[:-1]),
        '{"x": ' + "9" * 10_000 + "}",
        '{"x": 1e999}',
        '{"x": -1e999}',
        '{"x": NaN}',
        '{"x": Infinity}',
        '{"x": "\\q"}',
        '{"x": "\\u12"}',
    ],
)
def test_arguments_that_nobody_could_use_are_text(arguments):
    reply = _call(arguments)
    assert read([reply], HERMES) == [Text(reply)]
    assert read((reply[at : at + 7] for at in range(0, len(reply), 7)), HERMES) == [Text(reply)]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ('{"x": "\\ud800 \\udc00"}', "\ufffd \ufffd"),
        ('{"x": "\\ud83d\\ude00"}', "\N{GRINNING FACE}"),
        ('{"x": "\\u0000"}', "\0"),
        ('{"x": "a\0\n\tb"}', "a\0\n\tb"),
        ('{"x": "\ud800"}', "\ufffd"),
        ('{"x": 1, "x": "</tool_call>\\""}', '</tool_call>"'),
        ('{"x": 123456789012345678901234567890}', 123456789012345678901234567890),
    ],
)
def test_strange_values_come_as_what_utf8_and_json_can_hold(arguments, value):
    (call,) = read(_call(arguments), HERMES)
    assert call == ToolCall(name="now", arguments={"x": value})
    json.dumps(call.arguments, ensure_ascii=False, allow_nan=False).encode()


def test_half_a_character_in_an_argument_without_json_is_replaced():
    reply = "<function=now><parameter=x\udc00>\ud800</parameter></function>"
    assert read(reply, HERMES) == [ToolCall(name="now", arguments={"x\ufffd": "\ufffd"})]


def test_what_is_nested_too_deeply_is_text_at_once():
    parser = ReplyParser(written_in(Calls.HERMES), tools=TOOLS)
    begun = "<tool_call>" + "[" * (bounds.NESTING + 1)
    assert parser.feed(begun[:-1]) == []
    assert parser.feed(begun[-1:]) == [Text(begun)]


def test_nul_is_text_like_any_other():
    assert read("\0<think>\0", HERMES) == [Text("\0<think>\0")]


def test_a_reply_has_so_many_calls_and_no_more():
    reply = _call("{}") * (bounds.CALLS + 1)
    *calls, rest = read([reply], HERMES)
    assert len(calls) == bounds.CALLS
    assert rest == Text(_call("{}"))
    many = "<tool_call>[" + ",".join(['{"name": "now"}'] * (bounds.CALLS + 1)) + "]"
    assert read([many], HERMES) == [Text(many)]


@pytest.mark.parametrize("inside", ["a", " ", "\\\\", "{}", '"', "<tool_call>", "</tool_call>"])
@pytest.mark.parametrize(
    ("calls", "begin"),
    [
        (Calls.HERMES, '<tool_call>{"name": "'),
        (Calls.HERMES, "<tool_call>"),
        (Calls.QWEN_CODER, "<function=now><parameter=x>"),
        (Calls.QWEN_CODER, "<function="),
        (Calls.GLM, "<tool_call>now<arg_key>x</arg_key><arg_value>"),
        (Calls.JSON, '{"name": "'),
        (Calls.MISTRAL, "[TOOL_CALLS]"),
        (Calls.HARMONY, "<|channel|>commentary to=functions.now<|message|>"),
    ],
)
def test_a_call_that_is_too_large_is_text(calls, begin, inside, monkeypatch):
    monkeypatch.setattr(bounds, "CALL", 3000)
    reply = begin + inside * (4000 // len(inside))
    whole = read([reply], written_in(calls))
    assert whole == [Text(reply)] == read(reply, written_in(calls))


def _seconds(pieces, form):
    begun = time.process_time()
    read(pieces, form)
    return time.process_time() - begun


def _is_linear(small, large, form):
    """Whether 16 times the length takes some 16 times the time, not 256; try again if not."""
    return any(
        _seconds(large, form) < 64 * max(_seconds(small, form), 0.01) for _ in range(ATTEMPTS)
    )


_MIB = 1024 * 1024
FLOODS = {
    "text": (Calls.HERMES, "", "word "),
    "beginnings of markers": (Calls.HERMES, "", "<tool_"),
    "markers": (Calls.HERMES, "", "<tool_call>"),
    "whitespace": (Calls.HERMES, "", " "),
    "whitespace in a call": (Calls.HERMES, "<tool_call>", " "),
    "a string": (Calls.HERMES, '<tool_call>{"name": "', "a"),
    "brackets": (Calls.HERMES, "<tool_call>[", "{},"),
    "a value": (Calls.QWEN_CODER, "<function=now><parameter=x>", "</para"),
    "values": (Calls.QWEN_CODER, "<function=now>", "<parameter=x>1</parameter>"),
    "whitespace in thinking": (Calls.HERMES, "<think>x", "\n"),
    "a list": (Calls.JSON, '[{"name": "now", "parameters": [', "1,"),
    "sections": (Calls.DEEPSEEK, "", deepseek("<tool▁call▁begin>")),
    "names": (Calls.KIMI, "", "<|tool_call_begin|>x"),
    "keys": (Calls.GLM, "", "<tool_call>now<arg_key>"),
    "brackets without end": (Calls.MISTRAL, "", "[TOOL_CALLS][x"),
    "headers": (Calls.HARMONY, "", "<|channel|>"),
}


@pytest.mark.parametrize(("calls", "begin", "filling"), FLOODS.values(), ids=FLOODS)
def test_time_grows_with_the_length_of_the_reply(calls, begin, filling):
    form = written_in(calls, thinking=THINK)
    small, large = (begin + filling * (size // len(filling)) for size in (_MIB // 64, _MIB // 4))
    assert _is_linear(list(small), list(large), form)


def test_a_long_reply_in_single_characters_is_read_in_seconds():
    characters = list("word <b> " * (_MIB // 72))
    assert any(_seconds(characters, HERMES) < 2.5 for _ in range(ATTEMPTS))


@pytest.mark.parametrize(("calls", "begin", "filling"), FLOODS.values(), ids=FLOODS)
def test_one_large_piece_is_read_in_a_moment(calls, begin, filling):
    form = written_in(calls, thinking=THINK)
    small, large = (begin + filling * (size // len(filling)) for size in (_MIB // 8, 2 * _MIB))
    assert _is_linear([small], [large], form)


FRAGMENTS = sorted(
    {
        *("<tool_call>", "</tool_call>", "<function=now>", "<parameter=x>", "</parameter>"),
        *("</function>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<|python_tag|>", ">>>", "all\n"),
        *("now", "now\n", "{}", "[]", "{", "}", "[", "]", ",", ";", " ", "\n", '"', "\\", "text"),
        *('{"name": "now", "arguments": {}}', '{"name": "now"', '"parameters": {"x": 1}}'),
        *("<think>", "</think>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "```"),
        *("<|channel|>", "analysis", "<|message|>", "<|end|>", "<|start|>", "<|call|>", " to=now"),
        *(reply for _, reply, _ in RECORDED.values()),
    }
)


@pytest.mark.parametrize("calls", [None, *Calls])
def test_however_odd_a_reply_is_pieces_make_no_difference_and_nothing_is_lost(calls, monkeypatch):
    chance = random.Random(f"{calls}")
    for _ in range(150):
        monkeypatch.setattr(bounds, "CALL", chance.choice((40, 300, 1_000_000)))
        reply = "".join(chance.choices(FRAGMENTS, k=chance.randrange(1, 14)))
        cuts = sorted(chance.choices(range(len(reply) + 1), k=chance.randrange(9)))
        ends = zip([0, *cuts], [*cuts, len(reply)], strict=True)
        options = {"think": chance.choice((None, False)), "prefilled": chance.random() < 0.2}
        form = written_in(calls, thinking=THINK, prefills=True)
        whole = read([reply], form, **options)
        assert read([reply[begin:end] for begin, end in ends], form, **options) == whole
        assert read(reply, form, **options) == whole
        told = [part for part in whole if isinstance(part, Text | Thinking)]
        for part in told if calls is not Calls.HARMONY else ():
            assert part.text.strip() in reply
        if not options["prefilled"] and whole == told and options["think"] is False:
            kept = "".join(part.text for part in told)
            assert kept == reply or calls in (Calls.HARMONY, Calls.RECIPIENTS)
