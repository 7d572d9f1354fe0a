"""Texts to vectors, and pairs of texts to scores: checked, tokenized, batched, normalised.

The numbers of a text's vector (of length 1) are the same alone and in a batch, but for noise: up to
1e-4 with encoders, and 1e-3 where keys and values have half precision, as in models that write.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine import llamacpp
from modelpack.engine.closing import Closing
from modelpack.engine.packing import pack
from modelpack.engine.pooled import ROOM, PooledContext
from modelpack.engine.vocabulary import LlamaVocabulary
from modelpack.errors import EngineError, InputError

if TYPE_CHECKING:
    from types import ModuleType

    from modelpack.engine.base import LoadOptions
    from modelpack.engine.vocabulary import Handle

Rows: TypeAlias = list[list[float]]


class Embedder(Closing):
    """A model that makes vectors. Build one with `load_embedder`; one thread computes with it."""

    def __init__(
        self, library: ModuleType, options: LoadOptions, *, model: Handle | None = None
    ) -> None:
        started = time.perf_counter()
        self._library = library
        self._numpy = importlib.import_module("numpy")
        self._context: PooledContext | None = None
        self._owned = llamacpp.load_model(library, options) if model is None else None
        handle = self._owned or model
        try:
            self._handle = library.llama_model_get_vocab(handle)
            self.vocabulary = LlamaVocabulary(library, self._handle)
            self._context = context = PooledContext(library, handle, options)
        except BaseException:
            self.close()
            raise
        self.n_ctx = context.n_ctx
        """Tokens of the longest text."""
        self.pooling = context.pooling
        """How texts become vectors: what the model says, else `last` (`mean` for encoders)."""
        self.width = context.width
        """Numbers of a vector, or scores of a pair."""
        source = library.llama_model_chat_template(handle, b"rerank")
        self.pair_template = source.decode("utf-8", "replace") if source else ""
        """How a model that compares texts is shown `{query}` and `{document}`, if it says so."""
        self.load_s = time.perf_counter() - started
        """How long loading took, in seconds."""

    def tokenize(self, text: str, *, truncate: bool = False) -> list[int]:
        """Return the tokens of *text* between those that begin and end the model's texts.

        The names of control tokens in it are plain text. With *truncate*, what does not fit
        `n_ctx` is cut off *text*.

        Raises:
            InputError: there is no room but for what begins and ends a text.
        """
        tokens = self.vocabulary.tokenize(text, special=False, between=True)
        if not truncate or len(tokens) <= self.n_ctx:
            return tokens
        head, tail = self.vocabulary.around
        room = self.n_ctx - len(tail)
        if room <= len(head):
            raise InputError("the input after truncation exceeds the context length")
        return [*tokens[:room], *tail]

    def pair(self, query: Sequence[int], document: Sequence[int]) -> list[int]:
        """Return the tokens with which a *document* is compared to a *query*, cut to fit.

        They stand between the tokens that the model's texts begin and end with.

        Raises:
            InputError: there is no room beside the query.
        """
        bos, eos, sep = (self._added(name) for name in ("bos", "eos", "sep"))
        head, end = [*bos, *query, *eos, *sep], eos or sep
        room = self.n_ctx - len(head) - len(end)
        if room <= 0:
            raise InputError(f"the query is {len(query):,} tokens long, too long to compare")
        return [*head, *document[:room], *end]

    def embed(self, texts: Sequence[Sequence[int]], *, normalize: bool = True) -> Rows:
        """Return the vector of each of *texts*, given as tokens, by default of length 1.

        Raises:
            InputError: a text is empty or longer than `n_ctx`.
            EngineError: the model makes no vectors, or computing failed.
        """
        if self.pooling == "rank":
            raise EngineError("this model compares texts and makes no vectors")
        return self._all(texts, normalize=normalize)

    def rank(self, pairs: Sequence[Sequence[int]]) -> list[float]:
        """Return how well each pair of texts fits together; more is better.

        Raises:
            InputError: a pair is empty or longer than `n_ctx`.
            EngineError: the model does not compare texts, or computing failed.
        """
        if self.pooling != "rank":
            raise EngineError("this model makes vectors and does not compare texts")
        return [row[0] for row in self._all(pairs, normalize=False)]

    def steps(
        self, texts: Sequence[Sequence[int]], *, dimensions: int = 0, normalize: bool = False
    ) -> Iterator[tuple[list[int], Rows]]:
        """Compute *texts*, given as tokens, some at a time: yield their numbers and vectors.

        Only the first *dimensions* of a vector stay if that is not 0. All texts are checked before
        the first step; raises as `embed`.
        """
        for number, text in enumerate(texts):
            self._check(number, len(text))
        return self._steps(texts, dimensions or self.width, normalize=normalize)

    def close(self) -> None:
        """Free what it holds; a second time does nothing."""
        context, self._context = self._context, None
        model, self._owned = self._owned, None
        if context is not None:
            context.close()
        if model is not None:
            self._library.llama_model_free(model)

    def _added(self, name: str) -> list[int]:
        """Return the token called *name*, if the model's texts have it at an end."""
        library = self._library
        token = int(getattr(library, f"llama_vocab_{name}")(self._handle))
        wanted = getattr(library, f"llama_vocab_get_add_{name}")(self._handle)
        return [token] if wanted and token >= 0 else []

    def _check(self, number: int, length: int) -> None:
        if not length:
            raise InputError(f"text {number + 1} is empty")
        if length > self.n_ctx:
            raise InputError(
                f"the input length exceeds the context length: text {number + 1} has {length:,} "
                f"tokens, and the model takes {self.n_ctx:,}",
                hint="shorten it, let it be truncated, or raise the parameter num_ctx",
            )

    def _all(self, texts: Sequence[Sequence[int]], *, normalize: bool) -> Rows:
        found: Rows = [[]] * len(texts)
        for numbers, rows in self.steps(texts, normalize=normalize):
            for number, row in zip(numbers, rows, strict=True):
                found[number] = row
        return found

    def _steps(
        self, texts: Sequence[Sequence[int]], dimensions: int, *, normalize: bool
    ) -> Iterator[tuple[list[int], Rows]]:
        most = self._context.most if self._context is not None else 1
        for numbers in pack([len(text) for text in texts], room=ROOM, most=most):
            if self._context is None:
                raise EngineError("the model was unloaded while it made vectors")
            found = self._context.compute([texts[number] for number in numbers])[:, :dimensions]
            if normalize:
                length = self._numpy.linalg.norm(found, axis=1, keepdims=True)
                found = found / self._numpy.maximum(length, 1e-12)
            yield numbers, found.tolist()


def load_embedder(options: LoadOptions) -> Embedder:
    """Load a model for vectors or scores.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        EngineError: a file is missing or is no model, or there is no memory for it.
    """
    return Embedder(llamacpp.library(), options)


def embedder_beside(engine: llamacpp.Engine, options: LoadOptions) -> Embedder:
    """Return an embedder that shares the weights of *engine*, which must stay open longer.

    It costs what a context costs: keys and values of `n_ctx` tokens, and room to compute a step.

    Raises:
        EngineError: there is no memory for it.
    """
    return Embedder(llamacpp.library(), options, model=engine.model)
