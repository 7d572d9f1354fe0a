"""A loaded model that makes vectors of texts, or compares them, in this process.

`modelpack.runtime.worker` does the same out of another one. What users write is plain text: the
names of control tokens in it are not those tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelpack.engine.closing import Closing
from modelpack.engine.embedding import Embedder, load_embedder
from modelpack.engine.purpose import Purpose
from modelpack.errors import InputError
from modelpack.runtime.embedded import Embedded, Part, collect, require
from modelpack.runtime.markup import forges
from modelpack.runtime.options import load_options_from

if TYPE_CHECKING:
    from modelpack.engine.base import Tokenizer
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prompts import Parameters

_NOTHING: Parameters = MappingProxyType({})
_SLOT = re.compile(r"(\{query\}|\{document\})")


class VectorModel(Closing):
    """A model in memory; one thread computes with it. `load` builds one."""

    def __init__(self, name: str, embedder: Embedder) -> None:
        self.name = name
        """What the caller calls the model."""
        self._embedder = embedder
        self._purpose: Purpose = "ranks" if embedder.pooling == "rank" else "vectors"

    @property
    def n_ctx(self) -> int:
        """Tokens of the longest text."""
        return self._embedder.n_ctx

    @property
    def width(self) -> int:
        """Numbers of a whole vector."""
        return self._embedder.width

    @property
    def load_s(self) -> float:
        """How long loading took, in seconds."""
        return self._embedder.load_s

    def embed(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = True,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> Embedded:
        """Return the vector of each of *texts*, by default of length 1, and what it was in tokens.

        With *dimensions*, only so many numbers of a vector stay, before it gets its length. What
        is longer than the context loses its end, unless *truncate* is false.

        Raises:
            InputError: a text is empty or too long, or *dimensions* is negative.
            EngineError: the model makes no vectors, or computing failed.
        """
        parts = self.embedding(texts, truncate=truncate, dimensions=dimensions, normalize=normalize)
        return collect(parts, len(texts))

    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        """Return how well each of *documents* fits the *query*; more is better.

        Documents that are too long are cut.

        Raises:
            InputError: a text is empty, or there is no room beside the query.
            EngineError: the model does not compare texts, or computing failed.
        """
        found = collect(self.ranking(query, documents), len(documents))
        return [row[0] for row in found.vectors]

    def embedding(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = True,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> Iterator[Part]:
        """Return the steps of `embed`, which raises all but what fails in computing at once."""
        require("vectors", self._purpose, self.name)
        if (dimensions or 0) < 0:
            raise InputError(f"a vector of {dimensions} dimensions")
        _refuse_empty(texts)
        tokens = [self._embedder.tokenize(text, truncate=truncate) for text in texts]
        return self._parts(tokens, dimensions or 0, normalize=normalize)

    def ranking(self, query: str, documents: Sequence[str]) -> Iterator[Part]:
        """Return the steps of `rerank`, which raises all but what fails in computing at once."""
        require("ranks", self._purpose, self.name)
        if not query:
            raise InputError("the query is empty")
        _refuse_empty(documents)
        tokens = [self._join(query, document) for document in documents]
        return self._parts(tokens, 0, normalize=False)

    def close(self) -> None:
        """Free the model; a second time does nothing."""
        self._embedder.close()

    def _parts(
        self, texts: Sequence[Sequence[int]], dimensions: int, *, normalize: bool
    ) -> Iterator[Part]:
        steps = self._embedder.steps(texts, dimensions=dimensions, normalize=normalize)
        return (Part(at, rows, [len(texts[number]) for number in at]) for at, rows in steps)

    def _join(self, query: str, document: str) -> list[int]:
        """Return the tokens with which *document* is compared to *query*, cut to fit."""
        template, tokenizer = self._embedder.pair_template, self._embedder.vocabulary
        if template and not forges(query, tokenizer) and not forges(document, tokenizer):
            texts = {"{query}": query, "{document}": document}
            whole = _SLOT.sub(lambda slot: texts[slot[0]], template)
            tokens = tokenizer.tokenize(whole, special=True)
            if len(tokens) <= self.n_ctx:
                return tokens
        asked, said = (tokenizer.tokenize(text, special=False) for text in (query, document))
        if not template:
            return self._embedder.pair(asked, said)
        pieces = [_piece(part, asked, tokenizer) for part in _SLOT.split(template)]
        room = self.n_ctx - sum(len(piece) for piece in pieces if piece is not None)
        if room <= 0:
            raise InputError(f"the query is {len(asked):,} tokens long, too long to compare")
        return [token for piece in pieces for token in (said[:room] if piece is None else piece)]


def load(files: ModelFiles, overrides: Parameters = _NOTHING) -> VectorModel:
    """Load *files* for vectors or scores; *overrides* go before the parameters of the Modelfile.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: a file is missing or is no model, or there is no memory for it.
    """
    options = load_options_from(files, {**files.parameters, **overrides})
    return VectorModel(files.name, load_embedder(options))


def _piece(part: str, query: list[int], tokenizer: Tokenizer) -> list[int] | None:
    """Return the tokens of a *part* of a template, or None for the document."""
    if part == "{document}":
        return None
    return query if part == "{query}" else tokenizer.tokenize(part, special=True)


def _refuse_empty(texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        if not text:
            raise InputError(f"text {number + 1} of {len(texts)} is empty")
