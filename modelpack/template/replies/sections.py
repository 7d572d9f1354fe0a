"""Calls in a section, each with a name and arguments between control tokens.

In what DeepSeek's models write, all tokens are `<|…|>` with wide bars::

    tool▁calls▁begin, tool▁call▁begin, f, tool▁sep, {"x": 1}, tool▁call▁end, tool▁calls▁end

Older ones have `function` before the separator, the name behind it, and the arguments in a fence.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelpack.template.replies import bounds
from modelpack.template.replies.jsontext import json_text
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Markers, Steps, Tape, accept, space, until

_LINE_END = Markers("\n")
_FENCE, _LANGUAGE = "```", "json"


@dataclass(frozen=True, slots=True)
class Section:
    """The control tokens of one family of models."""

    opens: tuple[str, ...]
    closes: tuple[str, ...]
    call: str
    separator: str
    end: str

    @property
    def markers(self) -> tuple[str, ...]:
        """What a section, or a call without one, begins with."""
        return (*self.opens, self.call)


def _deepseek(word: str) -> str:
    bar = "\N{FULLWIDTH VERTICAL LINE}"
    return f"<{bar}{word}{bar}>"


DEEPSEEK = Section(
    opens=tuple(
        _deepseek(word)
        for word in ("tool▁calls▁begin", "tool_calls_begin", "tool calls begin", "tool▁calls")
    ),
    closes=tuple(
        _deepseek(word)
        for word in ("tool▁calls▁end", "tool_calls_end", "tool calls end", "/tool▁calls")
    ),
    call=_deepseek("tool▁call▁begin"),
    separator=_deepseek("tool▁sep"),
    end=_deepseek("tool▁call▁end"),
)
KIMI = Section(
    opens=("<|tool_calls_section_begin|>",),
    closes=("<|tool_calls_section_end|>",),
    call="<|tool_call_begin|>",
    separator="<|tool_call_argument_begin|>",
    end="<|tool_call_end|>",
)


def read_section(reply: Reply, marker: str, section: Section) -> Steps[None]:
    """Read what follows *marker*, the beginning of a *section* or of a call."""
    tape = reply.tape
    if marker != section.call:
        yield from space(tape)
        marker = yield from accept(tape, section.call)
    separator = Markers(section.separator)
    while marker == section.call:
        if not (yield from _call(reply, separator)):
            return
        yield from space(tape)
        if (yield from accept(tape, section.end)):
            tape.forget()
        yield from space(tape)
        marker = yield from accept(tape, section.call, *section.closes)
    if marker in section.closes:
        tape.forget()


def _call(reply: Reply, separator: Markers) -> Steps[bool]:
    tape = reply.tape
    head, ended = yield from until(tape, separator, bounds.NAME)
    if ended and head.strip() == "function":
        head, ended = yield from until(tape, _LINE_END, bounds.NAME)
    if not ended:
        return False
    arguments = yield from _arguments(tape)
    name, call_id = _name(head.strip())
    return bool(arguments) and reply.call(name, arguments, call_id)


def _arguments(tape: Tape) -> Steps[str]:
    yield from space(tape)
    fence = yield from accept(tape, _FENCE)
    if fence:
        yield from accept(tape, _LANGUAGE)
    yield from space(tape)
    text = yield from json_text(tape)
    if text and fence:
        yield from space(tape)
        yield from accept(tape, _FENCE)
    return text


def _name(head: str) -> tuple[str, str]:
    """Take `functions.f:0`, which is also the identifier of the call, apart."""
    name, colon, number = head.rpartition(":")
    if colon and number.isdecimal():
        return name.removeprefix("functions."), head
    return head, ""
