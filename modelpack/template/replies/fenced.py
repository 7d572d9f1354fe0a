"""Calls that are JSON behind a marker, or at the beginning of the reply."""

from __future__ import annotations

from modelpack.template.replies.jsontext import json_text, loads
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Steps, accept, space

_KEYS = frozenset(
    ("name", "tool_name", "function", "type", "parameters", "arguments", "id", "tool_call_id")
)
_BETWEEN = (";", ",")


def read_json(reply: Reply, closer: str = "") -> Steps[None]:
    """Read calls, and lists of calls, one behind the other; *closer* ends them if it is there."""
    literals = (closer, *_BETWEEN) if closer else _BETWEEN
    yield from space(reply.tape)
    while (yield from _value(reply)):
        yield from space(reply.tape)
        if (found := (yield from accept(reply.tape, *literals))) == closer != "":
            reply.tape.forget()
            return
        if found:
            yield from space(reply.tape)


def read_beginning(reply: Reply) -> Steps[None]:
    """Read calls of known tools that the reply begins with, in no marker at all."""
    yield from space(reply.tape)
    while (yield from _value(reply, _KEYS)):
        yield from space(reply.tape)
        if (yield from accept(reply.tape, *_BETWEEN)):
            yield from space(reply.tape)


def _value(reply: Reply, first_keys: frozenset[str] = frozenset()) -> Steps[bool]:
    text = yield from json_text(reply.tape, first_keys)
    if not text:
        return False
    try:
        value = loads(text)
    except ValueError:
        return False
    return reply.calls(value, strict=bool(first_keys))
