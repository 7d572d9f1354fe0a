"""Calls that look like `<invoke name="f"><parameter name="x">1</parameter></invoke>`.

DeepSeek's newest models write a token of theirs into each tag, and in an attribute whether a value
is a string or JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelpack.template.replies import bounds
from modelpack.template.replies.jsontext import clean, loads
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Markers, Steps, accept, space, until

_TAG_END = Markers(">", "\n", "<")
_JSON = 'string="false"'
_STRING = 'string="true"'


@dataclass(frozen=True, slots=True)
class Dialect:
    """The tags of one family: what stands in each, and what may be around calls."""

    token: str
    around: tuple[str, ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """What calls begin with."""
        return (*(f"<{name}>" for name in self.around), self.tag("invoke name="))

    @property
    def closers(self) -> tuple[str, ...]:
        """What ends calls."""
        return tuple(f"</{name}>" for name in self.around)

    def tag(self, text: str) -> str:
        """Return the beginning of a tag; of a closing one if *text* begins with a slash."""
        return f"</{self.token}{text[1:]}" if text.startswith("/") else f"<{self.token}{text}"


_MARK = "\N{FULLWIDTH VERTICAL LINE}DSML\N{FULLWIDTH VERTICAL LINE}"
DSML = Dialect(_MARK, (f"{_MARK}function_calls", f"{_MARK}tool_calls"))
MINIMAX = Dialect("", ("minimax:tool_call", "function_calls"))


def read_invoked(reply: Reply, marker: str, dialect: Dialect) -> Steps[None]:
    """Read what follows *marker*, one of those of *dialect*."""
    tape = reply.tape
    invoke = dialect.tag("invoke name=")
    if marker != invoke:
        yield from space(tape)
        marker = yield from accept(tape, invoke)
    while marker == invoke and (yield from _invoke(reply, dialect)):
        yield from space(tape)
        marker = yield from accept(tape, invoke, *dialect.closers)
    if marker in dialect.closers:
        tape.forget()


def _invoke(reply: Reply, dialect: Dialect) -> Steps[bool]:
    name, ended = yield from until(reply.tape, _TAG_END, bounds.NAME)
    if ended != ">":
        return False
    tool = _unquoted(name)
    arguments = yield from _arguments(reply, tool, dialect)
    return arguments is not None and reply.call(tool, arguments)


def _arguments(reply: Reply, tool: str, dialect: Dialect) -> Steps[dict[str, object] | None]:
    tape = reply.tape
    parameter, end = dialect.tag("parameter name="), dialect.tag("/invoke>")
    value_end = Markers(dialect.tag("/parameter>"))
    arguments: dict[str, object] = {}
    yield from space(tape)
    while (found := (yield from accept(tape, parameter, end))) == parameter:
        head, ended = yield from until(tape, _TAG_END, bounds.NAME)
        if ended != ">":
            return None
        text, ended = yield from until(tape, value_end)
        if not ended:
            return None
        key, _, said = head.strip().partition(" ")
        typed = reply.tools.arguments(tool, {_unquoted(key): text})
        arguments |= {name: _value(value, said.strip(), text) for name, value in typed.items()}
        yield from space(tape)
    return arguments if found else None


def _value(value: object, said: str, text: str) -> object:
    """Return *text* as what it is *said* to be, else *value*."""
    if said == _STRING:
        return clean(text)
    try:
        return loads(text) if said == _JSON else value
    except ValueError:
        return value


def _unquoted(name: str) -> str:
    return name.strip().strip("\"'")
