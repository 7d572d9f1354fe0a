"""Calls in `<tool_call>` and in forms that look like XML.

::

    <tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>
    <tool_call><function=f><parameter=x>1</parameter></function></tool_call>
    <function=f>{"x": 1}</function>
    <tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>
"""

from __future__ import annotations

from modelpack.template.replies import bounds
from modelpack.template.replies.fenced import read_json
from modelpack.template.replies.jsontext import json_text
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Markers, Steps, accept, space, until, word

TOOL_CALL = "<tool_call>"
FUNCTION = "<function="
CLOSERS = {TOOL_CALL: "</tool_call>", "<seed:tool_call>": "</seed:tool_call>"}
_CALL_END = CLOSERS[TOOL_CALL]
_FUNCTION_END = "</function>"
_PARAMETER = "<parameter="
_KEY = "<arg_key>"
_VALUE = "<arg_value>"
_NAME_END = Markers(">", "\n", "<")
_PARAMETER_END = Markers("</parameter>")
_KEY_END = Markers("</arg_key>")
_VALUE_END = Markers("</arg_value>")


def read_tagged(reply: Reply, marker: str) -> Steps[None]:
    """Read what follows *marker*, `<function=` or one of `CLOSERS`."""
    tape = reply.tape
    if marker != FUNCTION:
        yield from space(tape)
        if not (yield from accept(tape, FUNCTION)):
            yield from read_json(reply, CLOSERS[marker])
            return
    while (yield from _function(reply)):
        yield from space(tape)
        found = yield from accept(tape, FUNCTION, *CLOSERS.values())
        if found != FUNCTION:
            if found:
                tape.forget()
            return


def read_keyed(reply: Reply, marker: str) -> Steps[None]:
    """Read what follows `<tool_call>`: a name, and arguments in tags of their own, or JSON."""
    tape = reply.tape
    del marker
    yield from space(tape)
    name = yield from word(tape)
    if not name:
        yield from read_json(reply, _CALL_END)
        return
    texts: dict[str, str] = {}
    while True:
        yield from space(tape)
        found = yield from accept(tape, _KEY, _CALL_END)
        if found != _KEY:
            break
        key, ended = yield from until(tape, _KEY_END, bounds.NAME)
        yield from space(tape)
        if not ended or not (yield from accept(tape, _VALUE)):
            return
        text, ended = yield from until(tape, _VALUE_END)
        if not ended:
            return
        texts[key.strip()] = text
    if found:
        reply.call(name, reply.tools.arguments(name, texts))


def _function(reply: Reply) -> Steps[bool]:
    name, ended = yield from until(reply.tape, _NAME_END, bounds.NAME)
    if ended != ">":
        return False
    yield from space(reply.tape)
    text = yield from json_text(reply.tape)
    if text:
        yield from space(reply.tape)
        yield from accept(reply.tape, _FUNCTION_END)
        return reply.call(name, text)
    texts = yield from _parameters(reply)
    return texts is not None and reply.call(name, reply.tools.arguments(name.strip(), texts))


def _parameters(reply: Reply) -> Steps[dict[str, str] | None]:
    tape = reply.tape
    texts: dict[str, str] = {}
    while (found := (yield from accept(tape, _PARAMETER, _FUNCTION_END))) == _PARAMETER:
        name, ended = yield from until(tape, _NAME_END, bounds.NAME)
        if ended != ">":
            return None
        text, ended = yield from until(tape, _PARAMETER_END)
        if not ended:
            return None
        texts[name.strip()] = text.removeprefix("\n").removesuffix("\n")
        yield from space(tape)
    return texts if found else None
