"""Ollama's Go templates. The one module that knows `gotpl`.

A template without `.Messages` is of the older kind: it knows one exchange, `.System`, `.Prompt`
and `.Response`, and is rendered once for each. For the answer to come it is cut behind
`.Response`, which is appended where the template has neither.

What it reads is bounded, and so are output, loops and what functions make (see `allowance`): a
template comes with a model or a request, from anywhere.

See: https://github.com/ollama/ollama/blob/main/docs/template.mdx
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.errors import LimitError, MissingExtraError, TemplateError
from modelpack.template.allowance import Allowance, left, spend, told
from modelpack.template.govalues import (
    collate,
    go_json,
    go_messages,
    go_tools,
    go_value,
    typescript_type,
)

if TYPE_CHECKING:
    from gotpl import ExecutionBudget

    from modelpack.template.chat import ChatMessage, Think

_RESPONSE = "{{ .Response }}"
_END = "{{ end }}"
_LOOPS = 1_000_000
_CALLS = 1_000_000
_DEPTH = 64
_CALL = 256
"""Bytes that a call counts for, whatever it makes."""
_WIDEST = 9999
_WIDE = re.compile(r"%[^a-zA-Z%]*[0-9]{5}")
_LINE = 300
_HINT = "templates are written in Go's text/template, with the variables of Ollama"
_FAILURES = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(RecursionError, MemoryError),
)
"""What a template can provoke besides gotpl's own errors."""


_TODAY: ContextVar[datetime.date] = ContextVar("_TODAY")
"""The day that the date functions tell; functions of a template are given no context."""


class GoTemplate:
    """A parsed template; `render` may be called any number of times."""

    def __init__(self, source: str) -> None:
        if len(source) > limits.TEXT_LAYER:
            raise LimitError(f"template is larger than {limits.TEXT_LAYER:,} bytes")
        self.source = source
        self.variables = frozenset(_variables(_parse(source)))
        self._has_messages = self.uses("Messages") or self.uses("Document")
        if not self.uses("Messages") and not self.uses("Response"):
            source += _RESPONSE
        self._whole = _compile(source)
        self._opening = self._whole if self._has_messages else _compile(_cut(source))

    def uses(self, name: str) -> bool:
        """Tell whether the template looks at the variable or field *name*, in whatever case."""
        return name.lower() in self.variables

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, object]] = (),
        *,
        today: datetime.date,
        think: Think = None,
        extra: Mapping[str, object] | None = None,
    ) -> str:
        """Return the prompt for the answer to *messages*; see `ChatTemplate.render`."""
        with _failing(), Allowance(sum([len(message.content) for message in messages])):
            system, turns = collate(messages)
            values = _values(think, extra)
            values["Tools"] = go_tools(tools)
            if not self._has_messages:
                return self._render_turns(turns, values, today)
            values |= {"System": system, "Messages": go_messages(turns)}
            return self._execute(self._whole, values, today)

    def fill(self, prompt: str, suffix: str, *, today: datetime.date, think: Think = None) -> str:
        """Return the prompt for the text between *prompt* and *suffix*."""
        values = _values(think, None) | {"Prompt": prompt, "Suffix": suffix}
        with _failing(), Allowance(len(prompt) + len(suffix)):
            return self._execute(self._whole, values, today)

    def _render_turns(
        self, turns: Sequence[ChatMessage], values: dict[str, object], today: datetime.date
    ) -> str:
        *done, last = _exchanges(turns)
        whole = [self._execute(self._whole, values | turn, today) for turn in done]
        return "".join((*whole, self._execute(self._opening, values | last, today)))

    def _execute(
        self, template: _Compiled, values: Mapping[str, object], today: datetime.date
    ) -> str:
        token = _TODAY.set(today)
        try:
            return template(values)
        finally:
            _TODAY.reset(token)


@contextmanager
def _failing() -> Iterator[None]:
    """Turn all that can fail in here into the error of a template."""
    from gotpl import TemplateError as GoTemplateError

    try:
        yield
    except GoTemplateError as error:
        raise TemplateError(_one_line(error), hint=_HINT) from None
    except _FAILURES as error:
        message = f"template failed: {type(error).__name__}: {error}"
        raise TemplateError(_one_line(message), hint=_HINT) from None


_Compiled = Callable[[Mapping[str, object]], str]


def _current_date(*_: object) -> str:
    return f"{_TODAY.get():%Y-%m-%d}"


def _yesterday_date(*_: object) -> str:
    return f"{_TODAY.get() - datetime.timedelta(days=1):%Y-%m-%d}"


def _counted(name: str, function: Callable[..., object]) -> Callable[..., object]:
    """Return *function*, which takes from the allowance what it reads and what it makes."""
    prints = name in _PRINTING

    @wraps(function)
    def counted(*values: object) -> object:
        if name == "printf" and values:
            _check_widths(values)
        for value in values:
            if prints or isinstance(value, str):
                told(value)
        spend(_CALL)
        made = function(*values)
        if isinstance(made, str | list | tuple):
            spend(len(made))
        return made

    return counted


def _check_widths(values: Sequence[object]) -> None:
    text = str(values[0])
    numbers = (value for value in values[1:] if isinstance(value, int))
    starred = "*" in text and any(abs(number) > _WIDEST for number in numbers)
    if starred or _WIDE.search(text):
        raise ValueError("a text is formatted with too wide a field")


_PRINTING = frozenset(("html", "js", "json", "print", "printf", "println", "urlquery"))
"""Functions that make a text of whatever they are given."""


@cache
def _functions() -> dict[str, Callable[..., object]]:
    """Return what templates call, counted: our functions and those of Go."""
    from gotpl.runtime.sync_vm import _builtin_functions

    own = {
        "json": go_json,
        "currentDate": _current_date,
        "yesterdayDate": _yesterday_date,
        "toTypeScriptType": typescript_type,
    }
    known = {**_builtin_functions("python"), **own}
    return {name: _counted(name, known[name]) for name in known if name != "call"}


def _values(think: Think, extra: Mapping[str, object] | None) -> dict[str, object]:
    given = {key: go_value(value) for key, value in (extra or {}).items()}
    return {
        "System": "",
        "Prompt": "",
        "Suffix": "",
        "Response": "",
        "Think": bool(think),
        "ThinkLevel": think if isinstance(think, str) else "",
        "IsThinkSet": think is not None,
        **given,
    }


def _exchanges(turns: Sequence[ChatMessage]) -> Iterator[dict[str, object]]:
    """Yield what an older template is rendered with: each exchange, and the open one last."""
    open_turn: dict[str, object] = {"System": "", "Prompt": "", "Response": ""}
    names = {"system": "System", "user": "Prompt", "assistant": "Response"}
    closed_by = {"system": ("Prompt", "Response"), "user": ("Response",)}
    for turn in turns:
        if any(open_turn[name] for name in closed_by.get(turn.role, ())):
            yield open_turn
            open_turn = dict.fromkeys(open_turn, "")
        if turn.role in names:
            open_turn[names[turn.role]] = turn.content
    yield open_turn


def _parse(source: str) -> object:
    try:
        from gotpl import TemplateError as GoTemplateError
        from gotpl.parse import parse_template
    except ImportError:
        raise MissingExtraError("Go templates", "runtime") from None
    try:
        return parse_template(
            source,
            name="template",
            left_delimiter="{{",
            right_delimiter="}}",
            functions=_functions(),
        )
    except GoTemplateError as error:
        raise TemplateError(_one_line(error), hint=_HINT) from None
    except _FAILURES as error:
        message = f"template does not parse: {type(error).__name__}: {error}"
        raise TemplateError(_one_line(message), hint=_HINT) from None


def _compile(source: str) -> _Compiled:
    from gotpl import SandboxPolicy, Template
    from gotpl import TemplateError as GoTemplateError

    sandbox = SandboxPolicy.strict(
        allow_functions=_functions(),
        max_template_chars=limits.TEXT_LAYER + len(_RESPONSE),
        default_budget=_budget(),
    )
    try:
        template = Template(
            source,
            functions=_functions(),
            missing_key="default",
            format_mode="python",
            sandbox=sandbox,
        )
    except GoTemplateError as error:
        raise TemplateError(_one_line(error), hint=_HINT) from None
    render: _Compiled = template.render
    return render


def _budget() -> ExecutionBudget:
    from gotpl import ExecutionBudget

    class Budget(ExecutionBudget):  # type: ignore[misc]
        """Looks at the clock wherever a template goes round."""

        __slots__ = ()

        def __init__(self) -> None:
            object.__setattr__(self, "max_output_chars", limits.TEXT_LAYER)
            object.__setattr__(self, "max_function_calls", _CALLS)

        @property
        def max_iterations(self) -> int:
            left().look()
            return _LOOPS

        @property
        def max_template_depth(self) -> int:
            left().look()
            return _DEPTH

    return Budget()


def _cut(source: str) -> str:
    """Return *source* without what follows the first `.Response` that is printed."""
    parsed = _parse(source)
    found = _response(getattr(parsed, "root", None), 0)
    if found is None:
        return source
    stop, depth = found
    data = source.encode()
    kept = b"".join(
        data[definition.start : definition.end]
        for definition in getattr(parsed, "definitions", ())
        if definition.start >= stop
    )
    # `else if` is a branch in a branch with one `end` for both, so fewer may be needed.
    for ends in range(depth, -1, -1):
        cut = (data[:stop] + _END.encode() * ends + kept).decode()
        try:
            _parse(cut)
        except TemplateError:
            continue
        return cut
    return source


def _response(nodes: object, depth: int) -> tuple[int, int] | None:
    """Return the byte behind the action that prints `.Response`, and how deep it is nested."""
    for node in getattr(nodes, "nodes", ()):
        if type(node).__name__ == "ActionNode":
            if "response" in _variables(node):
                return node.end, depth
            continue
        for branch in ("body", "else_body"):
            found = _response(getattr(node, branch, None), depth + 1)
            if found:
                return found
    return None


def _variables(node: object) -> Iterator[str]:
    """Yield the names of variables and fields anywhere in *node*, in lower case."""
    if isinstance(node, tuple):
        for item in node:
            yield from _variables(item)
    elif is_dataclass(node):
        names = getattr(node, "fields", ())
        yield from (name.lower() for name in names)
        for field in fields(node):
            yield from _variables(getattr(node, field.name))


def _one_line(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"
