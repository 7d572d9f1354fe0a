"""A loaded model that answers conversations, in this process.

Sets what the model says against parameters: the caller's over those of `load`, those over the
Modelfile's, those over the defaults. `prompts` makes requests of conversations.
"""

from __future__ import annotations

from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelpack.engine import llamacpp
from modelpack.engine.base import Finished
from modelpack.engine.closing import Closing
from modelpack.engine.overflow import REPEATS
from modelpack.errors import EngineError
from modelpack.runtime.ask import Ask
from modelpack.runtime.options import load_options_from
from modelpack.runtime.prompts import Parameters, Prompts, Today, now
from modelpack.runtime.reply import with_loading
from modelpack.template.chat import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelpack.engine.base import Flag, LoadOptions
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prepared import Prepared
    from modelpack.runtime.reply import Format, Reply
    from modelpack.template.chat import Think

_NOTHING: Parameters = MappingProxyType({})


class LoadedModel(Closing):
    """A model in memory. Build one with `load`; one thread uses it, one answer at a time."""

    def __init__(self, files: ModelFiles, overrides: Parameters, today: Today) -> None:
        self._files = files
        self._today = today
        self._parameters = {**files.parameters, **overrides}
        self._options = load_options_from(files, self._parameters)
        self._engine: llamacpp.Engine | None = None
        self._load_s = 0.0
        self._closed = False
        try:
            self._ready(self._options)
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
        format: Format = None,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> Iterator[Reply]:
        """Answer *messages*: pieces of text, thoughts and calls, then one `Finished`.

        Another `num_ctx` (or other parameter of loading) in *options* loads the model again.
        Turns that do not fit the context are left out, the oldest first. An answer that only says
        the same token over and over ends, as with Ollama.

        Raises:
            TemplateError: the template refuses this conversation.
            EngineError: the last turn alone does not fit the context, the model cannot do what is
                asked for, or computing failed.
        """
        ask = Ask(
            messages=tuple(messages),
            tools=tuple(tools),
            think=think,
            format=format,
            repeats=REPEATS,
            options=options,
        )
        yield from self.ask(ask, cancel)

    def generate(
        self,
        prompt: str,
        *,
        raw: bool = False,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> Iterator[Reply]:
        """Continue *prompt*: as the user's turn of a conversation, or *raw*, as it is.

        The texts of control tokens in a raw prompt are those tokens. Raises as `chat`.
        """
        if not raw:
            message = ChatMessage(role="user", content=prompt)
            yield from self.chat([message], options=options, cancel=cancel)
            return
        yield from self.ask(Ask(raw=prompt, options=options), cancel)

    def ask(self, ask: Ask, cancel: Flag | None = None) -> Iterator[Reply]:
        """Answer *ask*; raises as `chat`."""
        parameters = {**self._parameters, **ask.options}
        engine = self._ready(load_options_from(self._files, parameters))
        yield from self._answer(engine, self._prompts.prepare(ask, parameters), cancel)

    def close(self) -> None:
        """Free the model; a second time does nothing."""
        self._closed = True
        self._unload()

    def _answer(
        self, engine: llamacpp.Engine, prepared: Prepared, cancel: Flag | None
    ) -> Iterator[Reply]:
        with closing(engine.loop.run(prepared.request, cancel)) as events:
            for event in events:
                for reply in prepared.read(event):
                    yield self._with_load(reply) if isinstance(reply, Finished) else reply

    def _with_load(self, finished: Finished) -> Finished:
        """Count loading with the first answer after it."""
        load_s, self._load_s = self._load_s, 0.0
        return with_loading(finished, load_s)

    def _ready(self, options: LoadOptions) -> llamacpp.Engine:
        if self._closed:
            raise EngineError(f"the model {self.name!r} is closed")
        if self._engine is not None and options == self._options:
            return self._engine
        self._unload()
        self._engine = llamacpp.load(options)
        self._options = options
        self._prompts = Prompts(self._files, self._engine, self._today)
        self._load_s = self._engine.load_s
        return self._engine

    def _unload(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


def load(files: ModelFiles, overrides: Parameters = _NOTHING, *, today: Today = now) -> LoadedModel:
    """Load *files*; *overrides* go before the parameters of the Modelfile.

    Templates may tell the date, which they get from *today*.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: a file is missing or is no model, or there is no memory for it.
        TemplateError: the template does not parse.
    """
    return LoadedModel(files, overrides, today)
