"""Conversations and texts to requests for an engine, and what comes back to replies.

Chooses the template (the Modelfile's, else the GGUF's own, else none) and puts the model's opening
and system prompt in front.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine.base import Delta, Event, Failed, Grammar, Request
from modelpack.errors import EngineError, InputError
from modelpack.runtime.conversation import PlainText, complete, fit
from modelpack.runtime.markup import begin, tokenize_conversation
from modelpack.runtime.options import sampling_from
from modelpack.template.chat import ChatMessage, Think
from modelpack.template.gotemplate import GoTemplate
from modelpack.template.jinja import JinjaTemplate
from modelpack.template.replies.detect import PLAIN, Form, form_of, prefilled, reads
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.parts import Part, Text

if TYPE_CHECKING:
    from modelpack.engine.llamacpp import Engine
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.reply import Format, Reply
    from modelpack.template.chat import ChatTemplate

Parameters: TypeAlias = "Mapping[str, ParameterValue]"
Today: TypeAlias = Callable[[], datetime.date]

_KEPT = 4
_TEMPLATE_KEY = "tokenizer.chat_template"
_THINKS = ("think", "thinking", "enable_thinking", "reasoning_effort")
"""Variables of templates that say whether the model shall think."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request for the engine, and how its answer is to be read."""

    request: Request
    parser: ReplyParser | None = None

    def read(self, event: Event | Failed) -> Iterator[Reply]:
        """Yield what *event* is to whoever asked.

        Raises:
            ModelPackError: that the answer has failed.
        """
        if isinstance(event, Failed):
            raise event.error
        if self.parser is None:
            yield event
        elif isinstance(event, Delta):
            yield from map(_reply, self.parser.feed(event.text))
        else:
            yield from map(_reply, self.parser.end())
            yield event


class Prompts:
    """Makes requests for *engine*, which runs *files*."""

    def __init__(self, files: ModelFiles, engine: Engine, today: Today) -> None:
        self._files = files
        self._engine = engine
        self._today = today
        self._template, self._form = self._choose_template()

    def chat(
        self,
        messages: Sequence[ChatMessage],
        parameters: Parameters,
        *,
        tools: Sequence[Mapping[str, object]] = (),
        think: Think = None,
        format: Format = None,
    ) -> Prepared:
        """Return the request for the next turn of *messages*.

        Turns that do not fit the context are left out, the oldest first.

        Raises:
            TemplateError: the template refuses this conversation.
            EngineError: the model knows nothing of tools, or does not think.
        """
        self._check(tools, think)
        grammar = _grammar(format)
        if grammar is not None:
            if think:
                raise EngineError("an answer of a given format comes without thinking")
            think = False
            self._engine.constraints.prepare(grammar)
        today = self._today()
        vocabulary = self._engine.vocabulary

        def render(part: Sequence[ChatMessage]) -> str:
            return self._template.render(part, tools, today=today, think=think)

        def tokenize(part: Sequence[ChatMessage]) -> list[int]:
            return tokenize_conversation(part, render, vocabulary)

        said = complete(messages, opening=self._files.messages, system=self._files.system)
        tokens = fit(said, tokenize, self._engine.n_ctx)
        parser = None
        if self._form != PLAIN:
            inside = self._form.prefills and prefilled(render(said), self._form)
            parser = ReplyParser(self._form, tools=tools, think=think, prefilled=inside)
        request = _request(tokens, parameters, grammar)
        if parser is not None:
            request = replace(request, spoken=self._spoken)
        return Prepared(request, parser)

    @cached_property
    def _spoken(self) -> frozenset[int]:
        """The control tokens that replies are read by."""
        vocabulary = self._engine.vocabulary
        return frozenset(
            token
            for token in vocabulary.controls()
            if reads(self._form, vocabulary.spelling(token).decode("utf-8", "replace"))
        )

    def text(self, prompt: str, parameters: Parameters) -> Prepared:
        """Return the request to go on with *prompt*; texts of control tokens are those tokens."""
        vocabulary = self._engine.vocabulary
        tokens = begin(vocabulary.tokenize(prompt, special=True), vocabulary)
        return Prepared(_request(tokens, parameters))

    def _check(self, tools: Sequence[Mapping[str, object]], think: Think) -> None:
        if tools and not self._template.uses("tools"):
            raise EngineError(f"the model {self._files.name!r} knows nothing of tools")
        if think and self._form.thinking is None and not any(map(self._template.uses, _THINKS)):
            raise EngineError(f"the model {self._files.name!r} does not think before it answers")

    def _choose_template(self) -> tuple[ChatTemplate, Form]:
        if self._files.template:
            return GoTemplate(self._files.template), form_of(self._files.template, "go")
        borders = self._engine.vocabulary.borders
        source = self._engine.metadata(_TEMPLATE_KEY)
        if not source:
            return PlainText(), PLAIN
        template = JinjaTemplate(source, bos_token=borders.bos_text, eos_token=borders.eos_text)
        return template, form_of(source, "jinja")


def _request(
    tokens: Sequence[int], parameters: Parameters, grammar: Grammar | None = None
) -> Request:
    """Return the request of *parameters*; as with Ollama, old tokens make room for new ones."""
    keep = parameters.get("num_keep", _KEPT)
    return Request(
        tokens=tuple(tokens),
        sampling=sampling_from(parameters),
        grammar=grammar,
        overflow="shift",
        num_keep=int(keep) if isinstance(keep, int | float) else _KEPT,
    )


def _grammar(format: Format) -> Grammar | None:
    if format is None:
        return None
    if format == "json":
        return Grammar("json")
    if isinstance(format, str):
        raise InputError(f"the format {format[:80]!r} is neither json nor a JSON schema")
    return Grammar("json_schema", json.dumps(format))


def now() -> datetime.date:
    """Return the time that templates may tell."""
    return datetime.datetime.now().astimezone()


def _reply(part: Part) -> Reply:
    return Delta(part.text) if isinstance(part, Text) else part
