"""A loaded model that answers conversations.

Chooses the template (the Modelfile's, else the GGUF's own, else none), puts the model's opening
and system prompt in front, and sets what it says against parameters: the caller's over those of
`load`, those over the Modelfile's, those over the defaults.
"""

from __future__ import annotations

import datetime
from contextlib import closing
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from modelpack.engine import llamacpp
from modelpack.engine.base import Finished, Request
from modelpack.errors import EngineError
from modelpack.runtime.conversation import PlainText, complete, fit
from modelpack.runtime.markup import begin, tokenize_conversation
from modelpack.runtime.options import load_options_from, sampling_from
from modelpack.template.chat import ChatMessage
from modelpack.template.gotemplate import GoTemplate
from modelpack.template.jinja import JinjaTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from modelpack.engine.base import Event, Flag, LoadOptions
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.model import ModelFiles
    from modelpack.template.chat import ChatTemplate, Think

    Parameters = Mapping[str, ParameterValue]
    Today = Callable[[], datetime.date]

_TEMPLATE_KEY = "tokenizer.chat_template"
_NOTHING: Parameters = MappingProxyType({})


class LoadedModel:
    """A model in memory. Build one with `load`; one thread uses it, one answer at a time."""

    def __init__(self, files: ModelFiles, overrides: Parameters, today: Today) -> None:
        self._files = files
        self._today = today
        self._parameters = {**files.parameters, **overrides}
        self._options = load_options_from(files, self._parameters)
        self._engine: llamacpp.Engine | None = None
        self._load_s = 0.0
        self._closed = False
        engine = self._ready(self._options)
        try:
            self._template = self._choose_template(engine)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """What the caller calls the model."""
        return self._files.name

    @property
    def n_ctx(self) -> int:
        """Tokens of context."""
        return self._ready(self._options).n_ctx

    def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Mapping[str, object]] = (),
        think: Think = None,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> Iterator[Event]:
        """Answer *messages*: pieces of text, then one `Finished`.

        Another `num_ctx` (or other parameter of loading) in *options* loads the model again.
        Turns that do not fit the context are left out, the oldest first.

        Raises:
            TemplateError: the template refuses this conversation.
            EngineError: the last turn alone does not fit the context, or computing failed.
        """
        parameters = {**self._parameters, **options}
        engine = self._ready(load_options_from(self._files, parameters))
        today = self._today()

        def render(part: Sequence[ChatMessage]) -> str:
            return self._template.render(part, tools, today=today, think=think)

        def tokenize(part: Sequence[ChatMessage]) -> list[int]:
            return tokenize_conversation(part, render, engine.vocabulary)

        said = complete(messages, opening=self._files.messages, system=self._files.system)
        yield from self._answer(engine, fit(said, tokenize, engine.n_ctx), parameters, cancel)

    def generate(
        self,
        prompt: str,
        *,
        raw: bool = False,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> Iterator[Event]:
        """Continue *prompt*: as the user's turn of a conversation, or *raw*, as it is.

        The texts of control tokens in a raw prompt are those tokens. Raises as `chat`.
        """
        if not raw:
            message = ChatMessage(role="user", content=prompt)
            yield from self.chat([message], options=options, cancel=cancel)
            return
        parameters = {**self._parameters, **options}
        engine = self._ready(load_options_from(self._files, parameters))
        tokens = engine.vocabulary.tokenize(prompt, special=True)
        yield from self._answer(engine, begin(tokens, engine.vocabulary), parameters, cancel)

    def close(self) -> None:
        """Free the model; a second time does nothing."""
        self._closed = True
        self._unload()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(
        self,
        engine: llamacpp.Engine,
        tokens: Sequence[int],
        parameters: Parameters,
        cancel: Flag | None,
    ) -> Iterator[Event]:
        request = Request(tokens=tuple(tokens), sampling=sampling_from(parameters))
        with closing(engine.loop.run(request, cancel)) as events:
            for event in events:
                yield self._with_load(event) if isinstance(event, Finished) else event

    def _with_load(self, finished: Finished) -> Finished:
        """Count loading with the first answer after it."""
        load_s, self._load_s = self._load_s, 0.0
        took = finished.statistics
        return replace(
            finished, statistics=replace(took, load_s=load_s, total_s=took.total_s + load_s)
        )

    def _ready(self, options: LoadOptions) -> llamacpp.Engine:
        if self._closed:
            raise EngineError(f"the model {self.name!r} is closed")
        if self._engine is not None and options == self._options:
            return self._engine
        self._unload()
        self._engine = llamacpp.load(options)
        self._options = options
        self._load_s = self._engine.load_s
        return self._engine

    def _unload(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _choose_template(self, engine: llamacpp.Engine) -> ChatTemplate:
        if self._files.template:
            return GoTemplate(self._files.template)
        borders = engine.vocabulary.borders
        source = engine.metadata(_TEMPLATE_KEY)
        if not source:
            return PlainText()
        return JinjaTemplate(source, bos_token=borders.bos_text, eos_token=borders.eos_text)


def _now() -> datetime.date:
    return datetime.datetime.now().astimezone()


def load(
    files: ModelFiles, overrides: Parameters = _NOTHING, *, today: Today = _now
) -> LoadedModel:
    """Load *files*; *overrides* go before the parameters of the Modelfile.

    Templates may tell the date, which they get from *today*.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: a file is missing or is no model, or there is no memory for it.
        TemplateError: the template does not parse.
    """
    return LoadedModel(files, overrides, today)
