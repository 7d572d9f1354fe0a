"""Thinking at the beginning of a reply."""

from __future__ import annotations

from dataclasses import dataclass

from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Markers, Steps, accept, more, space


@dataclass(frozen=True, slots=True)
class Tags:
    """What thinking stands between; models may know more than one way to write it."""

    opens: tuple[str, ...]
    closes: tuple[str, ...]


def read_thinking(reply: Reply, tags: Tags, *, inside: bool) -> Steps[None]:
    """Read the thinking, if the reply begins with it; *inside*: the prompt has begun it.

    Whitespace around the tags is dropped. What is never closed is thinking to its end.
    """
    tape = reply.tape
    yield from space(tape)
    opened = yield from accept(tape, *tags.opens)
    if not opened and not inside:
        reply.give_back()
        return
    yield from space(tape)
    tape.forget()
    if (yield from _body(reply, Markers(*tags.closes))):
        yield from space(tape)
        tape.forget()


def _body(reply: Reply, closing: Markers) -> Steps[bool]:
    tape = reply.tape
    gap: list[str] = []
    while True:
        stop, marker = closing.find(tape)
        piece = tape.advance(stop)
        if kept := piece.rstrip():
            reply.thinking("".join((*gap, kept)))
            gap = [piece[len(kept) :]]
        else:
            gap.append(piece)
        if marker:
            tape.advance(stop + len(marker))
        tape.forget()
        if marker:
            return True
        if not (yield from more(tape)):
            reply.thinking("".join((*gap, tape.advance(len(tape.text)))))
            tape.forget()
            return False
