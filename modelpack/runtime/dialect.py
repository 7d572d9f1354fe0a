"""How a model is spoken to and how it writes: its template, and the form of its replies."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelpack.runtime.conversation import PlainText
from modelpack.template.gotemplate import GoTemplate
from modelpack.template.jinja import JinjaTemplate
from modelpack.template.replies.detect import PLAIN, Calls, Form, form_of
from modelpack.template.replies.writing import Writing, writing_of

if TYPE_CHECKING:
    from modelpack.engine.llamacpp import Engine
    from modelpack.runtime.model import ModelFiles
    from modelpack.template.chat import ChatMessage, ChatTemplate, Think

_TEMPLATE_KEY = "tokenizer.chat_template"
_THINKS = ("think", "thinking", "enable_thinking", "reasoning_effort")
"""Variables of templates that say whether the model shall think."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A template, and how a model writes whose template it is."""

    template: ChatTemplate
    form: Form
    source: str = ""
    """The text of the template."""

    @property
    def has_tools(self) -> bool:
        """Whether tools can be shown to the model."""
        return self.template.uses("tools")

    @property
    def thinks(self) -> bool:
        """Whether the model can be asked to think before it answers."""
        return self.form.thinking is not None or any(map(self.template.uses, _THINKS))

    @property
    def infill(self) -> GoTemplate | None:
        """The template, if it shows the model a gap to fill."""
        template = self.template
        return template if isinstance(template, GoTemplate) and template.uses("suffix") else None

    @property
    def writing(self) -> Writing | None:
        """How the model writes calls, if their arguments are JSON."""
        return writing_of(self.form.calls, self.source)

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, object]],
        *,
        today: datetime.date,
        think: Think,
    ) -> str:
        """Return the prompt for the answer to *messages*; raises as `ChatTemplate.render`."""
        return self.template.render(messages, tools, today=today, think=think)


def listening(form: Form, *, tools: bool, think: Think) -> Form:
    """Return what of *form* the answer to one request is read by, as `ReplyParser` does it."""
    if form.calls is Calls.HARMONY:
        return form
    calls = form.calls if tools or form.calls is Calls.RECIPIENTS else None
    return replace(form, calls=calls, thinking=None if think is False else form.thinking)


def dialect_of(files: ModelFiles, engine: Engine) -> Dialect:
    """Return the dialect of *files*: the Modelfile's template, else the GGUF's own, else none.

    Raises:
        TemplateError: the template does not parse.
    """
    if files.template:
        return go_dialect(files.template)
    source = engine.metadata(_TEMPLATE_KEY)
    if not source:
        return Dialect(PlainText(), PLAIN)
    borders = engine.vocabulary.borders
    template = JinjaTemplate(source, bos_token=borders.bos_text, eos_token=borders.eos_text)
    return Dialect(template, form_of(source, "jinja"), source)


def go_dialect(source: str) -> Dialect:
    """Return the dialect of a Go template; raises as `dialect_of`."""
    return Dialect(GoTemplate(source), form_of(source, "go"), source)
