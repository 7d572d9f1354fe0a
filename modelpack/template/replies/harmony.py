"""Replies in channels: analysis is thinking, final is text, and a recipient makes a call.

::

    <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…
    <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{…}<|call|>

The prompt ends with `<|start|>assistant`, so that a reply begins behind it. The tokens that end
the whole reply may be there or not.
"""

from __future__ import annotations

import re

from modelpack.template.replies import bounds
from modelpack.template.replies.jsontext import loads
from modelpack.template.replies.reply import Reply, text_until
from modelpack.template.replies.tape import Markers, Steps, accept, tell_until, until

_START, _CHANNEL, _MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_ENDS = ("<|end|>", "<|return|>", "<|call|>")
_FRAMES = Markers(_START, _CHANNEL, *_ENDS)
_HEADER_END = Markers(_MESSAGE)
_RECIPIENTS = (" to=", "to=")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_NAMESPACE = "functions."
_ANALYSIS = re.compile(r"<\|channel\|>\s*analysis\b")


def read_channels(reply: Reply, *, inside: bool) -> Steps[None]:
    """Read a whole reply; *inside*: the prompt has begun a message of thinking."""
    tape = reply.tape
    if inside:
        frame = yield from _thinking(reply)
    else:
        frame = yield from accept(tape, *_RECIPIENTS)
        frame = frame or (yield from text_until(reply, _FRAMES))
    while frame:
        if frame in _ENDS:
            tape.forget()
            frame = yield from text_until(reply, _FRAMES)
        else:
            frame = yield from _message(reply, frame)


def _message(reply: Reply, frame: str) -> Steps[str]:
    """Read the message that begins with *frame*; return the marker behind it."""
    rest, message = yield from until(reply.tape, _HEADER_END, bounds.HEADER)
    reply.tape.forget()
    header = frame + rest + message
    recipient = _RECIPIENT.search(header)
    if message and recipient and reply.tools:
        return (yield from _call(reply, header, recipient[1]))
    if message and _ANALYSIS.search(header):
        return (yield from _thinking(reply))
    if recipient or not message:
        reply.text(header)
    return (yield from text_until(reply, _FRAMES))


def _call(reply: Reply, header: str, recipient: str) -> Steps[str]:
    text, frame = yield from until(reply.tape, _FRAMES)
    reply.tape.forget()
    name = recipient.removeprefix(_NAMESPACE)
    known = name in reply.tools or name != recipient
    arguments = _value(text or "{}") if text or frame else None
    if not known or arguments is None or not reply.call(name, arguments):
        reply.text(header + text + (frame if frame in _ENDS else ""))
    return frame or (yield from text_until(reply, _FRAMES))


def _value(text: str) -> object:
    try:
        return loads(text)
    except ValueError:
        return None


def _thinking(reply: Reply) -> Steps[str]:
    return (yield from tell_until(reply.tape, _FRAMES, reply.thinking))
