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

from modelpack.engine.base import Grammar, Request
from modelpack.errors import EngineError, InputError
from modelpack.runtime.ask import Ask, AskTokens
from modelpack.runtime.conversation import TooLongError, complete, fit
from modelpack.runtime.dialect import Dialect, dialect_of, go_dialect, listening
from modelpack.runtime.grammars import grammar_of, grammar_of_calls, lead_of
from modelpack.runtime.markup import begin, harmless, tokenize_conversation
from modelpack.runtime.options import sampling_from
from modelpack.runtime.prepared import Prepared
from modelpack.runtime.sights import Sighted
from modelpack.template.chat import ChatMessage
from modelpack.template.replies.detect import PLAIN, Form, prefilled, reads
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.writing import Writing

if TYPE_CHECKING:
    from modelpack.engine.base import Tokenizer
    from modelpack.engine.llamacpp import Engine
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.model import ModelFiles
    from modelpack.template.chat import Think
    from modelpack.template.gotemplate import GoTemplate

Parameters: TypeAlias = "Mapping[str, ParameterValue]"
Today: TypeAlias = Callable[[], datetime.date]

_KEPT = 4
_USUAL = 16
"""Characters of a token; where a prompt has fewer for each, it is turned into tokens."""
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
        """What the model can do besides answering: `tools`, `thinking`, `insert`, `vision`."""
        can = {
            "tools": self._dialect.has_tools,
            "thinking": self._dialect.thinks,
            "insert": self._dialect.infill or self._engine.vocabulary.infill,
            "vision": self._engine.vision is not None,
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
            self._check_images(ask)
        if ask.raw is not None:
            return self._text(ask, ask.raw, parameters)
        ask = replace(ask, think=self._thinks(ask))
        if ask.suffix is not None:
            return self._infill(ask, ask.suffix, parameters)
        return self._chat(ask, parameters)

    def tokens(self, ask: AskTokens) -> list[int]:
        """Return the tokens of a prompt; raises as `prepare`."""
        vocabulary = self._engine.vocabulary
        if ask.raw is not None:
            tokens = vocabulary.tokenize(ask.raw, special=ask.special)
            return begin(tokens, vocabulary) if ask.special else tokens
        ask = replace(ask, think=self._thinks(ask))
        dialect = self._dialect_for(ask)
        self._check(dialect, ask.tools, ask.think)
        if any(message.images for message in ask.messages):
            self._check_images(ask)
        sighted = Sighted(vocabulary, self._engine.see)
        render = self._renderer(dialect, ask, ask.tools)
        return tokenize_conversation(sighted.mark(self._said(ask)), render, sighted)

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
        grammar = grammar_of(ask.format, ask.grammar)
        request = self._request(ask, self._after(ask, tokens), parameters, grammar)
        return Prepared(replace(request, truncate=ask.truncate))

    def _infill(self, ask: Ask, suffix: str, parameters: Parameters) -> Prepared:
        """Fill the gap between the last message and *suffix*."""
        prompt = ask.messages[-1].content if ask.messages else ""
        vocabulary = self._engine.vocabulary
        template = self._dialect_for(ask).infill
        if template is not None:
            parts = [ChatMessage(role="", content=text) for text in (prompt, suffix)]
            tokens = tokenize_conversation(parts, self._filler(template, ask), vocabulary)
        elif vocabulary.infill:
            before, after, middle = vocabulary.infill
            plain = vocabulary.tokenize(prompt, special=False)
            tokens = [before, *plain, after, *vocabulary.tokenize(suffix, special=False), middle]
        else:
            raise EngineError(f'"{self._files.name}" does not support insert')
        grammar = grammar_of(ask.format, ask.grammar)
        return Prepared(self._request(ask, self._after(ask, tokens), parameters, grammar))

    def _filler(self, template: GoTemplate, ask: Ask) -> Callable[[Sequence[ChatMessage]], str]:
        today = self._today()

        def fill(parts: Sequence[ChatMessage]) -> str:
            before, after = (part.content for part in parts)
            return template.fill(before, after, today=today, think=ask.think)

        return fill

    def _chat(self, ask: Ask, parameters: Parameters) -> Prepared:
        """Answer the last of the messages.

        Turns that do not fit the context are left out, the oldest first, if that is wanted.
        """
        dialect = self._dialect_for(ask)
        sighted = Sighted(self._engine.vocabulary, self._engine.see)
        tools = () if ask.tool_choice == "none" else ask.tools
        self._check(dialect, tools, ask.think)
        said = sighted.mark(self._said(ask))
        render = self._renderer(dialect, ask, tools)
        cut = ask.context and ask.truncate
        bounded = render if cut else self._bounded(render)

        def tokenize(part: Sequence[ChatMessage]) -> list[int]:
            return tokenize_conversation(part, bounded, sighted)

        fits = ask.truncate and not ask.context
        room = self._engine.n_ctx
        tokens, left_out = fit(said, tokenize, room) if fits else (tokenize(said), 0)
        inside = dialect.form.prefills and prefilled(render(said), dialect.form)
        grammar = self._grammar(ask, dialect, tools, inside=inside)
        request = self._request(ask, self._after(ask, tokens), parameters, grammar)
        request = replace(request, media=sighted.media)
        if ask.context:
            request = replace(request, truncate=ask.truncate)
        if dialect.form == PLAIN:
            return Prepared(request, left_out=left_out)
        parser = ReplyParser(dialect.form, tools=tools, think=ask.think, prefilled=inside)
        heard = listening(dialect.form, tools=bool(tools), think=ask.think)
        return Prepared(replace(request, spoken=self._spoken(heard)), parser, left_out)

    def _grammar(
        self, ask: Ask, dialect: Dialect, tools: Sequence[Mapping[str, object]], *, inside: bool
    ) -> Grammar | None:
        """Return what the answer must look like, behind what the model thinks."""
        grammar = grammar_of(ask.format, ask.grammar)
        calls = ask.tool_choice not in ("", "auto", "none")
        if calls:
            if grammar is not None:
                raise InputError("an answer of a given form cannot be a call of a tool")
            grammar = self._calls(ask.tool_choice, dialect, tools)
        if grammar is None:
            return None
        lead = lead_of(dialect.form, think=ask.think, inside=inside, calls=calls)
        return replace(grammar, lead=lead)

    def _calls(
        self, choice: str, dialect: Dialect, tools: Sequence[Mapping[str, object]]
    ) -> Grammar:
        writing = dialect.writing
        if tools and writing is None:
            raise EngineError(
                f"the model {self._files.name!r} cannot be made to call a tool",
                hint="it writes calls in a form that is not JSON; leave tool_choice to it",
            )
        return grammar_of_calls(
            tools, choice, writing or Writing(), self._engine.vocabulary.control_names
        )

    def _request(
        self,
        ask: Ask,
        tokens: Sequence[int],
        parameters: Parameters,
        grammar: Grammar | None,
    ) -> Request:
        keep = parameters.get("num_keep", _KEPT)
        sampling = sampling_from(parameters)
        constraints = self._engine.constraints
        return Request(
            tokens=tuple(tokens),
            sampling=replace(sampling, logit_bias=tuple(ask.logit_bias.items())),
            grammar=grammar,
            compiled=None if grammar is None else constraints.prepare(grammar),
            logprobs=ask.logprobs,
            top_logprobs=ask.top_logprobs,
            overflow="shift" if ask.shift else "length",
            num_keep=int(keep) if isinstance(keep, int | float) else _KEPT,
            wants_tokens=ask.wants_tokens,
            repeats=ask.repeats,
        )

    def _dialect_for(self, ask: Ask | AskTokens) -> Dialect:
        return self._dialect if ask.template is None else self._parse(ask.template)

    def _said(self, ask: Ask | AskTokens) -> list[ChatMessage]:
        """Return the messages of *ask* with the model's own in front, unless something is."""
        system = self._files.system if ask.system is None else ask.system
        opening = () if isinstance(ask, Ask) and ask.context else self._files.messages
        return complete(ask.messages, opening=opening, system=system)

    def _renderer(
        self, dialect: Dialect, ask: Ask | AskTokens, tools: Sequence[Mapping[str, object]]
    ) -> Callable[[Sequence[ChatMessage]], str]:
        today = self._today()
        shown = [_harmless(tool, self._engine.vocabulary) for tool in tools]
        return lambda part: dialect.render(part, shown, today=today, think=ask.think)

    def _bounded(
        self, render: Callable[[Sequence[ChatMessage]], str]
    ) -> Callable[[Sequence[ChatMessage]], str]:
        """Return *render*, but for texts that cannot fit the context a `TooLongError`."""
        vocabulary, n_ctx = self._engine.vocabulary, self._engine.n_ctx

        def bounded(part: Sequence[ChatMessage]) -> str:
            text = render(part)
            if len(text) > _USUAL * n_ctx and vocabulary.longest:
                least = -(-len(text) // vocabulary.longest)
                if least > n_ctx:
                    raise TooLongError(
                        f"the prompt is at least {least:,} tokens long and the context holds "
                        f"{n_ctx:,}",
                        hint="shorten it, or raise the parameter num_ctx",
                    )
            return text

        return bounded

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

    def _thinks(self, ask: Ask | AskTokens) -> Think:
        """Return whether the model shall think: where nobody says, if it can."""
        if ask.think is None and self._dialect_for(ask).thinks:
            return True
        return ask.think

    def _check(self, dialect: Dialect, tools: Sequence[Mapping[str, object]], think: Think) -> None:
        if tools and not dialect.has_tools:
            raise EngineError(f"the model {self._files.name!r} knows nothing of tools")
        if think and not dialect.thinks:
            raise EngineError(f"the model {self._files.name!r} does not think before it answers")

    def _check_images(self, ask: Ask | AskTokens) -> None:
        if self._engine.vision is None:
            raise EngineError(f'"{self._files.name}" does not support images')
        if ask.raw is not None or (isinstance(ask, Ask) and ask.suffix is not None):
            raise InputError("images belong to a conversation, not to a text")

    def _find_spoken(self, form: Form) -> frozenset[int]:
        """Return the control tokens that replies of *form* are read by."""
        vocabulary = self._engine.vocabulary
        return frozenset(
            token
            for token in vocabulary.controls()
            if reads(form, vocabulary.spelling(token).decode("utf-8", "replace"))
        )


def _harmless(tool: Mapping[str, object], tokenizer: Tokenizer) -> Mapping[str, object]:
    return {name: harmless(said, tokenizer) for name, said in tool.items()}


def now() -> datetime.date:
    """Return the time that templates may tell."""
    return datetime.datetime.now().astimezone()
