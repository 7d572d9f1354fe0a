"""A model that answers out of a worker, and starts another one where that must be."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelpack.engine.base import Finished
from modelpack.engine.closing import Closing
from modelpack.engine.overflow import REPEATS
from modelpack.engine.purpose import Purpose, purpose_of_file
from modelpack.errors import EngineError, StoppedError
from modelpack.runtime.ask import Ask, AskScores, AskVectors, Wish
from modelpack.runtime.embedded import Embedded, Part, collect, require
from modelpack.runtime.options import load_options_from, loading_of
from modelpack.runtime.reply import with_loading
from modelpack.runtime.worker.messages import Piece
from modelpack.runtime.worker.process import Worker
from modelpack.template.chat import ChatMessage

if TYPE_CHECKING:
    from modelpack.engine.base import Flag, LoadOptions
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prompts import Parameters
    from modelpack.runtime.reply import Format, Reply
    from modelpack.template.chat import Think

_NOTHING: Parameters = MappingProxyType({})


class WorkerModel(Closing):
    """Answers as `modelpack.runtime.loaded.LoadedModel` does, out of another process.

    Threads may share it; *parallel* of their requests are answered at the same time. One that loads
    the model in another way ends the answers that are under way.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: the model cannot be loaded.
        TemplateError: its template does not parse.
    """

    def __init__(
        self, files: ModelFiles, overrides: Parameters = _NOTHING, *, parallel: int = 1
    ) -> None:
        self._files = files
        self.purpose: Purpose = purpose_of_file(files.weights[0]) if files.weights else "text"
        """What the model is for; what it cannot do is refused before it is asked."""
        self._parallel = parallel
        self._lock = threading.Lock()
        self._parameters = {**files.parameters, **overrides}
        self._options = load_options_from(files, self._parameters)
        self._closed = False
        self._load_s = 0.0
        self._worker: Worker | None = None
        self._ready(self._options, self._parameters)

    @property
    def name(self) -> str:
        """What the caller calls the model."""
        return self._files.name

    @property
    def n_ctx(self) -> int:
        """Tokens of context."""
        return self._ready(self._options, self._parameters).n_ctx

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
        """Answer *messages*; see `LoadedModel.chat`. A worker that has died is replaced."""
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
        """Continue *prompt*; see `LoadedModel.generate`."""
        if not raw:
            message = ChatMessage(role="user", content=prompt)
            yield from self.chat([message], options=options, cancel=cancel)
            return
        yield from self.ask(Ask(raw=prompt, options=options), cancel)

    def ask(self, ask: Ask, cancel: Flag | None = None) -> Iterator[Reply]:
        """Answer *ask*; see `chat`."""
        for piece in self._asked("text", ask, ask.options, cancel):
            if not isinstance(piece, Part):
                yield self._with_load(piece) if isinstance(piece, Finished) else piece

    def embed(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = True,
        dimensions: int | None = None,
        normalize: bool = True,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> Embedded:
        """Return vectors of *texts*; see `VectorModel.embed`. Setting *cancel* is a `StoppedError`.

        A model that writes does so too. Its first vectors cost the memory of one more context.
        """
        wish = AskVectors(
            texts=tuple(texts), truncate=truncate, dimensions=dimensions, normalize=normalize
        )
        return collect(self._parts("vectors", wish, options, cancel), len(texts))

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        options: Parameters = _NOTHING,
        cancel: Flag | None = None,
    ) -> list[float]:
        """Return how well *documents* fit the *query*; see `VectorModel.rerank`, and `embed`."""
        wish = AskScores(query=query, documents=tuple(documents))
        found = collect(self._parts("ranks", wish, options, cancel), len(documents))
        return [row[0] for row in found.vectors]

    def close(self) -> None:
        """End the worker; a second time does nothing."""
        with self._lock:
            self._closed = True
            self._unload()

    def _parts(
        self, purpose: Purpose, wish: Wish, options: Parameters, cancel: Flag | None
    ) -> Iterator[Part]:
        for piece in self._asked(purpose, wish, options, cancel):
            if isinstance(piece, Part):
                yield piece
            elif isinstance(piece, Finished) and piece.reason == "cancelled":
                raise StoppedError("the vectors were given up")

    def _asked(
        self, purpose: Purpose, wish: Wish, options: Parameters, cancel: Flag | None
    ) -> Iterator[Piece]:
        require(purpose, self.purpose, self.name)
        parameters = {**self._parameters, **loading_of(options)}
        worker = self._ready(load_options_from(self._files, parameters), parameters)
        with closing(worker.ask(wish, cancel)) as pieces:  # type: ignore[type-var]
            yield from pieces

    def _with_load(self, finished: Finished) -> Finished:
        """Count loading with the first answer after it."""
        load_s, self._load_s = self._load_s, 0.0
        return with_loading(finished, load_s)

    def _ready(self, options: LoadOptions, parameters: Parameters) -> Worker:
        with self._lock:
            if self._closed:
                raise EngineError(f"the model {self.name!r} is closed")
            worker = self._worker
            if worker is not None and options == self._options and worker.is_alive:
                return worker
            self._unload()
            self._worker = worker = Worker(self._files, parameters, parallel=self._parallel)
            self._options = options
            self._load_s = worker.load_s
            return worker

    def _unload(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
