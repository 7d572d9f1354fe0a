"""What is asked for to requests for an engine, and what comes back to replies.

Puts the model's opening and system prompt in front. `dialect` knows the template, `grammars` what
an answer must look like.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine.base import Request
from modelpack.errors import EngineError, InputError
from modelpack.runtime.conversation import complete, fit
from modelpack.runtime.dialect import Dialect, dialect_of, go_dialect
from modelpack.runtime.grammars import grammar_of
from modelpack.runtime.markup import begin, tokenize_conversation
from modelpack.runtime.options import sampling_from
from modelpack.runtime.prepared import Prepared
from modelpack.template.replies.detect import PLAIN, Form, prefilled, reads
from modelpack.template.replies.parser import ReplyParser

if TYPE_CHECKING:
    from modelpack.engine.llamacpp import Engine
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.ask import Ask, AskTokens
    from modelpack.runtime.model import ModelFiles
    from modelpack.template.chat import ChatMessage, Think

Parameters: TypeAlias = "Mapping[str, ParameterValue]"
Today: TypeAlias = Callable[[], datetime.date]

_KEPT = 4
_TEMPLATES = 8
"""Templates of requests that are kept, parsed."""


class Prompts:
    """Makes requests for *engine*, which runs *files*."""

    def __init__(self, files: ModelFiles, engine: Engine, today: Today) -> None:
        self._files = files
        self._engine = engine
        self._today = today
        self._dialect = dialect_of(files, engine)
        self._parse = lru_cache(_TEMPLATES)(go_dialect)
        self._spoken = lru_cache(_TEMPLATES)(self._find_spoken)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the model can do besides answering: `tools`, `thinking`, `insert`."""
        can = {
            "tools": self._dialect.has_tools,
            "thinking": self._dialect.thinks,
            "insert": self._dialect.infill or self._engine.vocabulary.infill,
        }
        return tuple(name for name, able in can.items() if able)

    def prepare(self, ask: Ask, parameters: Parameters) -> Prepared:
        """Return the request for what *ask* wants, under *parameters*.

        Raises:
            TemplateError: the template refuses this conversation.
            EngineError: the model cannot do what is asked for.
            InputError: what is asked for makes no sense.
        """
        if any(message.images for message in ask.messages):
            raise EngineError(f'"{self._files.name}" does not support images')
        if ask.raw is not None:
            return self._text(ask, ask.raw, parameters)
        if ask.suffix is not None:
            return self._infill(ask, ask.suffix, parameters)
        return self._chat(ask, parameters)

    def tokens(self, ask: AskTokens) -> list[int]:
        """Return the tokens of a prompt; raises as `prepare`."""
        vocabulary = self._engine.vocabulary
        if ask.raw is not None:
            tokens = vocabulary.tokenize(ask.raw, special=ask.special)
            return begin(tokens, vocabulary) if ask.special else tokens
        dialect = self._dialect_for(ask)
        self._check(dialect, ask.tools, ask.think)
        return self._tokenizer(dialect, ask.tools, ask.think)(self._said(ask))

    def spell(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens*, names of control tokens included.

        Raises:
            InputError: there is no such token.
        """
        self._check_tokens(tokens)
        data = b"".join(map(self._engine.vocabulary.spelling, tokens))
        return data.decode("utf-8", "replace")

    def _text(self, ask: Ask, raw: str, parameters: Parameters) -> Prepared:
        """Go on with *raw*; texts of control tokens are those tokens."""
        if ask.suffix is not None:
            raise InputError("a raw prompt has no suffix")
        tokens = self._engine.vocabulary.tokenize(raw, special=True)
        request = self._request(ask, self._after(ask, tokens), parameters)
        return Prepared(replace(request, truncate=ask.truncate))

    def _infill(self, ask: Ask, suffix: str, parameters: Parameters) -> Prepared:
        """Fill the gap between the last message and *suffix*."""
        prompt = ask.messages[-1].content if ask.messages else ""
        vocabulary = self._engine.vocabulary
        template = self._dialect_for(ask).infill
        if template is not None:
            text = template.fill(prompt, suffix, today=self._today(), think=ask.think)
            tokens = vocabulary.tokenize(text, special=True)
        elif vocabulary.infill:
            before, after, middle = vocabulary.infill
            plain = vocabulary.tokenize(prompt, special=False)
            tokens = [before, *plain, after, *vocabulary.tokenize(suffix, special=False), middle]
        else:
            raise EngineError(f'"{self._files.name}" does not support insert')
        return Prepared(self._request(ask, self._after(ask, tokens), parameters))

    def _chat(self, ask: Ask, parameters: Parameters) -> Prepared:
        """Answer the last of the messages.

        Turns that do not fit the context are left out, the oldest first, if that is wanted.
        """
        dialect = self._dialect_for(ask)
        tools = () if ask.tool_choice == "none" else ask.tools
        self._check(dialect, tools, ask.think)
        think = self._thinking(ask)
        said = self._said(ask)
        tokenize = self._tokenizer(dialect, tools, think)
        fits = ask.truncate and not ask.context
        tokens = fit(said, tokenize, self._engine.n_ctx) if fits else tokenize(said)
        request = self._request(ask, self._after(ask, tokens), parameters)
        if ask.context:
            request = replace(request, truncate=ask.truncate)
        if dialect.form == PLAIN:
            return Prepared(request)
        inside = dialect.form.prefills and prefilled(
            dialect.render(said, tools, today=self._today(), think=think), dialect.form
        )
        parser = ReplyParser(dialect.form, tools=tools, think=think, prefilled=inside)
        return Prepared(replace(request, spoken=self._spoken(dialect.form)), parser)

    def _request(self, ask: Ask, tokens: Sequence[int], parameters: Parameters) -> Request:
        keep = parameters.get("num_keep", _KEPT)
        sampling = sampling_from(parameters)
        grammar = grammar_of(ask.format, ask.grammar)
        if grammar is not None:
            self._engine.constraints.prepare(grammar)
        return Request(
            tokens=tuple(tokens),
            sampling=replace(sampling, logit_bias=tuple(ask.logit_bias.items())),
            grammar=grammar,
            logprobs=ask.logprobs,
            top_logprobs=ask.top_logprobs,
            overflow="shift" if ask.shift else "length",
            num_keep=int(keep) if isinstance(keep, int | float) else _KEPT,
            wants_tokens=ask.wants_tokens,
        )

    def _dialect_for(self, ask: Ask | AskTokens) -> Dialect:
        return self._dialect if ask.template is None else self._parse(ask.template)

    def _said(self, ask: Ask | AskTokens) -> list[ChatMessage]:
        """Return the messages of *ask* with the model's own in front, unless something is."""
        system = self._files.system if ask.system is None else ask.system
        opening = () if getattr(ask, "context", ()) else self._files.messages
        return complete(ask.messages, opening=opening, system=system)

    def _tokenizer(
        self, dialect: Dialect, tools: Sequence[Mapping[str, object]], think: Think
    ) -> Callable[[Sequence[ChatMessage]], list[int]]:
        today = self._today()

        def render(part: Sequence[ChatMessage]) -> str:
            return dialect.render(part, tools, today=today, think=think)

        return lambda part: tokenize_conversation(part, render, self._engine.vocabulary)

    def _after(self, ask: Ask, tokens: list[int]) -> list[int]:
        """Return *tokens* behind those that *ask* says come before them."""
        vocabulary = self._engine.vocabulary
        if not ask.context:
            return begin(tokens, vocabulary)
        self._check_tokens(ask.context)
        bos = vocabulary.borders.bos
        return [*ask.context, *(tokens[1:] if tokens[:1] == [bos] else tokens)]

    def _check_tokens(self, tokens: Sequence[int]) -> None:
        size = self._engine.vocabulary.size
        wrong = next((token for token in tokens if not 0 <= token < size), None)
        if wrong is not None:
            raise InputError(f"there is no token {wrong}; the vocabulary has {size:,}")

    def _check(self, dialect: Dialect, tools: Sequence[Mapping[str, object]], think: Think) -> None:
        if tools and not dialect.has_tools:
            raise EngineError(f"the model {self._files.name!r} knows nothing of tools")
        if think and not dialect.thinks:
            raise EngineError(f"the model {self._files.name!r} does not think before it answers")

    def _thinking(self, ask: Ask) -> Think:
        if ask.format is None and ask.grammar is None:
            return ask.think
        if ask.think:
            raise EngineError("an answer of a given format comes without thinking")
        return False

    def _find_spoken(self, form: Form) -> frozenset[int]:
        """Return the control tokens that replies of *form* are read by."""
        vocabulary = self._engine.vocabulary
        return frozenset(
            token
            for token in vocabulary.controls()
            if reads(form, vocabulary.spelling(token).decode("utf-8", "replace"))
        )


def now() -> datetime.date:
    """Return the time that templates may tell."""
    return datetime.datetime.now().astimezone()
