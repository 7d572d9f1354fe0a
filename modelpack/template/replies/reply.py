"""A reply that is being read: what came, what is told of it, and which tools there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from modelpack.template.chat import ToolCall
from modelpack.template.replies import bounds
from modelpack.template.replies.jsontext import clean, loads
from modelpack.template.replies.parts import Part, Text, Thinking
from modelpack.template.replies.tape import Markers, Steps, Tape, more, tell_until
from modelpack.template.replies.tools import Tools

_NAMES = ("name", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters")
_IDS = ("id", "tool_call_id")


class Reply:
    """Reads from `tape`, and tells what it is.

    Whitespace before the first call, between calls and behind the last is nobody's text.
    """

    def __init__(self, tools: Tools) -> None:
        self.tape = Tape()
        self.tools = tools
        self._parts: list[Part] = []
        self._calls = 0
        self._at_gap = bool(tools)
        self._gap: list[Text] = []

    def take(self) -> list[Part]:
        """Return what was told since the last time."""
        parts, self._parts = self._parts, []
        return list(_joined(parts))

    def text(self, text: str) -> None:
        """Tell of *text* for the user, which is what was read last."""
        end = self.tape.position
        part = Text(text, ((end - len(text), end),))
        if self._at_gap and text.isspace():
            self._gap.append(part)
        elif text:
            self._parts += (*self._gap, part)
            self._gap.clear()
            self._at_gap = False

    def thinking(self, text: str) -> None:
        """Tell of *text* that the model thought."""
        if text:
            self._parts.append(Thinking(text))

    def call(self, name: str, arguments: object, call_id: str = "") -> bool:
        """Tell of a call, and forget what was read of it; False if it is none."""
        return self.calls([{"name": name, "arguments": arguments, "id": call_id}])

    def calls(self, value: object, *, strict: bool = False) -> bool:
        """Tell of the call or calls that the JSON *value* is; False if it is something else.

        If *strict*, they must be of tools that there are, and have arguments.
        """
        items = value if isinstance(value, list) else [value]
        calls = [call for item in items if (call := _call(item, strict=strict))]
        if not calls or len(calls) < len(items) or self._calls + len(calls) > bounds.CALLS:
            return False
        if not self.tools or (strict and any(call.name not in self.tools for call in calls)):
            return False
        self._calls += len(calls)
        self._parts += calls
        self._gap.clear()
        self._at_gap = True
        self.tape.forget()
        return True

    def give_back(self) -> None:
        """Tell what was read and not forgotten as text."""
        self.text(self.tape.give_back())

    def end(self) -> None:
        """Tell of what was held back, which is none of a call."""
        if not self._calls:
            self._parts += self._gap
        self._gap.clear()


def text_until(reply: Reply, markers: Markers) -> Steps[str]:
    """Tell text as it comes; return the marker behind it, which is read, or "" at the end."""
    return (yield from tell_until(reply.tape, markers, reply.text))


def plain(reply: Reply) -> Steps[None]:
    """Tell all the rest as text."""
    tape = reply.tape
    while True:
        reply.text(tape.advance(len(tape.text)))
        tape.forget()
        if not (yield from more(tape)):
            return


def _call(value: object, *, strict: bool) -> ToolCall | None:
    if not isinstance(value, Mapping):
        return None
    inner = value.get("function")
    said = {**value, **inner} if isinstance(inner, Mapping) else value
    name = next((said[key] for key in _NAMES if isinstance(said.get(key), str)), "")
    call_id = next((said[key] for key in _IDS if isinstance(said.get(key), str)), "")
    arguments = _arguments(said, strict=strict)
    if not 0 < len(name.strip()) <= bounds.NAME or arguments is None:
        return None
    return ToolCall(name=clean(name.strip()), arguments=arguments, id=clean(call_id[: bounds.NAME]))


def _arguments(said: Mapping[str, object], *, strict: bool) -> dict[str, object] | None:
    given = next((said[key] for key in _ARGUMENTS if key in said), None if strict else {})
    if isinstance(given, str):
        try:
            given = loads(given) if given.strip() else {}
        except ValueError:
            return None
    if given is None and not strict:
        return {}
    return given if isinstance(given, dict) else None


def _joined(parts: list[Part]) -> Iterator[Part]:
    """Yield *parts* with neighbours of one kind in one."""
    for kind, run in groupby(parts, type):
        same = list(run)
        if kind is ToolCall:
            yield from same
        elif kind is Thinking:
            yield Thinking("".join(part.text for part in same if isinstance(part, Thinking)))
        else:
            texts = [part for part in same if isinstance(part, Text)]
            spans = tuple(span for part in texts for span in part.spans)
            yield Text("".join(part.text for part in texts), spans)
