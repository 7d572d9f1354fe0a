"""Jinja chat templates as they stand in GGUF files.

With `sandbox` and `bounding` it is all that knows `jinja2`.

The environment is the one that Hugging Face's chat templates are written for, sandboxed: a
template comes with a model, from anywhere. What it makes and the time that it takes are bounded
(see `allowance`): nothing is computed when it is parsed, and what makes a text or a list, or goes
round, asks first.

See: https://huggingface.co/docs/transformers/chat_templating_writing
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.errors import LimitError, TemplateError
from modelpack.template.allowance import Allowance
from modelpack.template.bounding import bound, free_variables
from modelpack.template.sandbox import environment

if TYPE_CHECKING:
    import datetime

    from modelpack.template.chat import ChatMessage, Think

_FILE = "<template>"
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
        self._environment = environment()
        from jinja2 import TemplateSyntaxError

        try:
            tree = self._environment.parse(source)
            self.variables = free_variables(tree, self._environment)
            bound(tree, self._environment)
            self._template = self._environment.from_string(tree)
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
        given = sum([len(message.content) for message in messages])
        try:
            with Allowance(given, tools):
                return _bounded(self._template.generate(values))
        except (JinjaError, TemplateError, *_FAILURES) as error:
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
