r"""Replies that are messages to recipients: `>>>all\n` and text, `>>>f\n` and JSON.

The prompt ends with the first `>>>`, so that a reply begins with the recipient.
"""

from __future__ import annotations

from modelpack.template.replies.jsontext import json_text
from modelpack.template.replies.reply import Reply, text_until
from modelpack.template.replies.tape import Markers, Steps, accept, space, word

_EVERYBODY = "all"
_NEXT = Markers(">>>")


def read_recipients(reply: Reply) -> Steps[None]:
    """Read a whole reply."""
    while True:
        yield from _message(reply)
        reply.give_back()
        if not (yield from text_until(reply, _NEXT)):
            return


def _message(reply: Reply) -> Steps[None]:
    tape = reply.tape
    name = yield from word(tape)
    if not name or not (yield from accept(tape, "\n")):
        return
    if name == _EVERYBODY:
        tape.forget()
        return
    if name not in reply.tools:
        return
    yield from space(tape)
    text = yield from json_text(tape)
    if text:
        reply.call(name, text)
