"""What a worker has loaded, and what is to be computed for those who ask it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from modelpack.engine import llamacpp
from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.engine.embedding import embedder_beside, load_embedder
from modelpack.engine.media import without_media
from modelpack.engine.purpose import purpose_of_file
from modelpack.runtime.ask import Ask, AskScores, AskText, AskTokens, AskVectors
from modelpack.runtime.embedded import require
from modelpack.runtime.options import load_options_from
from modelpack.runtime.prompts import Prompts, now
from modelpack.runtime.vectors import VectorModel
from modelpack.runtime.worker.settling import settle, without_plan

if TYPE_CHECKING:
    from modelpack.engine.llamacpp import Engine
    from modelpack.engine.loading import Progress
    from modelpack.runtime.ask import Wish
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prompts import Parameters
    from modelpack.runtime.reply import Reply
    from modelpack.runtime.worker.steps import Work


class Model:
    """What a worker has loaded: an engine that writes, and what makes vectors.

    A model that writes makes vectors too, in a context of its own over the same weights. That is
    made when the first vector is asked for.
    """

    def __init__(
        self,
        files: ModelFiles,
        parameters: Parameters,
        parallel: int,
        progress: Progress | None = None,
    ) -> None:
        self._files = files
        self._options = load_options_from(files, parameters)
        self._parameters = parameters
        self._purpose = purpose_of_file(files.weights[0]) if files.weights else "text"
        self._vectors: VectorModel | None = None
        self._making = threading.Lock()
        self.engine: Engine | None = None
        self.slots = 1
        if self._purpose != "text":
            self.capabilities: tuple[str, ...] = ()
            self.memory = without_plan(files, self._options)
            self.n_ctx, self.load_s = self._maker().n_ctx, self._maker().load_s
            return
        options, self.memory = settle(files, replace(self._options, slots=parallel))
        self.slots = parallel
        self.engine = llamacpp.load(options, progress)
        self.n_ctx, self.load_s = self.engine.n_ctx, self.engine.load_s
        self._prompts = Prompts(files, self.engine, now)
        self.capabilities = self._prompts.capabilities

    def prepare(self, wish: Wish) -> Work | list[Reply]:
        """Return what is to be computed for *wish*, or the answer where that is nothing.

        Raises:
            ModelPackError: it cannot be answered.
        """
        name = self._files.name
        if isinstance(wish, AskVectors):
            require("vectors", self._purpose, name)
            return self._maker().embedding(
                wish.texts,
                truncate=wish.truncate,
                dimensions=wish.dimensions,
                normalize=wish.normalize,
            )
        if isinstance(wish, AskScores):
            require("ranks", self._purpose, name)
            return self._maker().ranking(wish.query, wish.documents)
        require("text", self._purpose, name)
        if isinstance(wish, Ask):
            return self._prompts.prepare(wish, {**self._parameters, **wish.options})
        return _told(wish, self._prompts)

    def _maker(self) -> VectorModel:
        with self._making:
            if self._vectors is None:
                if self.engine is None:
                    embedder = load_embedder(self._options)
                else:
                    embedder = embedder_beside(self.engine, self._options)
                self._vectors = VectorModel(self._files.name, embedder)
            return self._vectors


def _told(wish: AskTokens | AskText, prompts: Prompts) -> list[Reply]:
    if isinstance(wish, AskText):
        text = prompts.spell(wish.tokens)
        said: list[Reply] = [Delta(text)] if text else []
        return [*said, Finished("stop", Statistics())]
    tokens = prompts.tokens(wish)
    told = tuple(without_media(tokens)) if wish.wants_tokens else ()
    return [Finished("stop", Statistics(prompt_tokens=len(tokens)), tokens=told)]
