"""Calls behind `[TOOL_CALLS]`.

::

    [TOOL_CALLS][{"name": "f", "arguments": {"x": 1}}]
    [TOOL_CALLS]f[CALL_ID]123456789[ARGS]{"x": 1}
"""

from __future__ import annotations

from modelpack.template.replies.fenced import read_json
from modelpack.template.replies.jsontext import json_text
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Steps, accept, space, word

TOOL_CALLS = "[TOOL_CALLS]"
_ARGS = "[ARGS]"
_CALL_ID = "[CALL_ID]"
_END = "[/TOOL_CALLS]"


def read_bracketed(reply: Reply, marker: str) -> Steps[None]:
    """Read what follows *marker*."""
    tape = reply.tape
    del marker
    yield from space(tape)
    name = yield from word(tape)
    if not name:
        yield from read_json(reply, _END)
        return
    yield from space(tape)
    call_id = ""
    found = yield from accept(tape, _CALL_ID, _ARGS)
    if found == _CALL_ID:
        yield from space(tape)
        call_id = yield from word(tape)
        yield from space(tape)
        if not (yield from accept(tape, _ARGS)):
            return
    yield from space(tape)
    text = yield from json_text(tape)
    if text:
        reply.call(name, text, call_id)
