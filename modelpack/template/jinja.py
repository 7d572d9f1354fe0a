"""Jinja chat templates as they stand in GGUF files. The one module that knows `jinja2`.

The environment is the one that Hugging Face's chat templates are written for, sandboxed: a
template comes with a model, from anywhere. Loops, products and output are bounded; time is not,
so a hostile template can keep its process busy.

See: https://huggingface.co/docs/transformers/chat_templating_writing
"""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from modelpack import limits
from modelpack.errors import LimitError, MissingExtraError, TemplateError

if TYPE_CHECKING:
    import datetime

    import jinja2
    from jinja2 import nodes
    from jinja2.parser import Parser

    from modelpack.template.chat import ChatMessage, Think

_FILE = "<template>"
_BASE = 2**32
_POWER = 64
_LINE = 300
_HINT = "the template came with the model; give another with TEMPLATE in a Modelfile"
_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(TypeError, ValueError, RecursionError, MemoryError),
)
"""What a template can provoke besides Jinja's own errors."""


class JinjaTemplate:
    """A parsed template; the special tokens are the model's."""

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        if len(source) > limits.TEXT_LAYER:
            raise LimitError(f"template is larger than {limits.TEXT_LAYER:,} bytes")
        self.source = source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._environment = _environment()
        from jinja2 import TemplateSyntaxError, meta

        try:
            self.variables = frozenset(
                meta.find_undeclared_variables(self._environment.parse(source))
            )
            self._template = self._environment.from_string(source)
        except TemplateSyntaxError as error:
            raise _failure(error, error.lineno) from None
        except (*_FAILURES, SyntaxError) as error:
            raise _failure(error, 0) from None

    def uses(self, name: str) -> bool:
        """Tell whether the template looks at the variable *name*, such as `tools`."""
        return name.lower() in self.variables

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, object]] = (),
        *,
        today: datetime.date,
        think: Think = None,
        extra: Mapping[str, object] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """Return the prompt for the answer to *messages*; see `ChatTemplate.render`.

        A *today* that is a `datetime` lets templates tell the time as well.
        """
        from jinja2 import TemplateError as JinjaError

        values: dict[str, object] = {
            **self._tokens,
            "messages": [_message(message) for message in messages],
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            "strftime_now": today.strftime,
            **_thinking(think),
            **(extra or {}),
        }
        try:
            return _bounded(self._template.generate(values))
        except JinjaError as error:
            raise _failure(error, _line_of(error)) from None
        except _FAILURES as error:
            raise _failure(error, _line_of(error)) from None


def _message(message: ChatMessage) -> dict[str, object]:
    calls = [
        {
            **({"id": call.id} if call.id else {}),
            "type": "function",
            "function": {"name": call.name, "arguments": dict(call.arguments)},
        }
        for call in message.tool_calls
    ]
    optional = {
        "reasoning_content": message.thinking,
        "tool_calls": calls,
        "name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    given = {key: value for key, value in optional.items() if value}
    return {"role": message.role, "content": message.content, **given}


def _thinking(think: Think) -> dict[str, object]:
    """The variables that templates in use ask for, left undefined where nobody said."""
    if think is None:
        return {}
    level = {"reasoning_effort": think} if isinstance(think, str) else {}
    return {"enable_thinking": bool(think), "thinking": bool(think), **level}


@functools.cache
def _environment() -> jinja2.Environment:
    try:
        from jinja2 import sandbox
        from jinja2.exceptions import SecurityError
    except ImportError:
        raise MissingExtraError("Jinja templates", "runtime") from None

    class Environment(sandbox.ImmutableSandboxedEnvironment):
        """The sandbox, which also refuses operators that make huge values."""

        intercepted_binops = frozenset(("*", "**", "%"))

        def call_binop(
            self, context: jinja2.runtime.Context, operator: str, left: object, right: object
        ) -> object:
            if _is_huge(operator, left, right):
                raise SecurityError(f"the result of {operator} is too large")
            return super().call_binop(context, operator, left, right)

    environment = Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        extensions=[_generation_tag(), "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _generation_tag() -> type[jinja2.ext.Extension]:
    from jinja2.ext import Extension

    class Generation(Extension):
        """`{% generation %}` marks the model's own words for training; here it is nothing."""

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    Generation.tags = {"generation"}
    return Generation


def _is_huge(operator: str, left: object, right: object) -> bool:
    if operator == "%":
        return isinstance(left, str) and _formats_wide(left)
    if operator == "**":
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            return True
        return abs(left) > _BASE or abs(right) > _POWER
    for times, text in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(text, str | list | tuple):
            return times * len(text) > limits.TEXT_LAYER
    return False


def _formats_wide(pattern: str) -> bool:
    """Tell whether *pattern* asks for a field of a width no prompt has."""
    import re

    return re.search(r"%[^a-zA-Z%]*(?:[0-9]{5}|\*)", pattern) is not None


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: object) -> NoReturn:
    from jinja2 import TemplateError as JinjaError

    raise JinjaError(str(message))


def _bounded(pieces: Iterable[str]) -> str:
    text: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limits.TEXT_LAYER:
            raise TemplateError(f"template makes more than {limits.TEXT_LAYER:,} characters")
        text.append(piece)
    return "".join(text)


def _line_of(error: BaseException) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == _FILE), 0)


def _failure(error: BaseException, line: int) -> TemplateError:
    where = f"template, line {line}" if line else "template"
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= _LINE else f"{text[:_LINE]}…"
    return TemplateError(f"{where}: {text}", hint=_HINT)
