"""From a request to the answer of a model, whatever API it came by."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine.base import Delta, Finished
from modelpack.errors import EngineError, StoppedError
from modelpack.runtime.embedded import Embedded, Part, collect
from modelpack.runtime.options import loading_of
from modelpack.runtime.reply import Reply, with_loading
from modelpack.runtime.worker.messages import Ask, AskTokens, AskVectors, Piece, Wish
from modelpack.server.daemon.catalog import Opened
from modelpack.server.daemon.failures import UnableError
from modelpack.template.replies.parts import Thinking

if TYPE_CHECKING:
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.server.daemon.metrics import Metrics
    from modelpack.server.daemon.pool.pool import Pool
    from modelpack.server.daemon.pool.values import Lease

Replies: TypeAlias = list[Reply]
"""What came together; consecutive text is one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a model is asked, and how long it stays loaded afterwards."""

    opened: Opened
    wish: Wish
    options: Mapping[str, ParameterValue] = field(default_factory=dict)
    keep_s: float


class Speaker:
    """Lets models of *pool* answer; *defaults* are the parameters where nobody says any."""

    def __init__(
        self, pool: Pool, metrics: Metrics, defaults: Mapping[str, ParameterValue]
    ) -> None:
        self.pool = pool
        self._metrics = metrics
        self._defaults = dict(defaults)

    async def load(self, question: Question) -> float:
        """Load the model without asking it anything; return the seconds that it took."""
        async with self._lease(question) as lease:
            return lease.waited_s

    async def answer(
        self, question: Question, counting: tuple[AskTokens, Callable[[int], None]] | None = None
    ) -> AsyncGenerator[Replies, None]:
        """Yield the answer as it comes; `Finished` comes last. Close it.

        With *counting* the tokens of that prompt are told before the answer begins.

        Raises:
            BusyError: too many requests wait.
            UnableError: the model cannot do what is asked of it, or the prompt does not fit.
            EngineError: the model cannot be loaded, or has failed.
        """
        began = time.perf_counter()
        first = True
        async with (
            self._lease(question) as lease,
            aclosing(_at_fault(lease, _with_options(question))) as said,
        ):
            if counting is not None:
                counting[1](await _count(lease, counting[0]))
            async for pieces in said:
                if first:
                    self._metrics.first_token(question.opened.name, time.perf_counter() - began)
                    first = False
                replies = merged(pieces)
                if isinstance(replies[-1], Finished):
                    finished = replies[-1]
                    if finished.reason == "cancelled":
                        raise StoppedError("the answer was given up")
                    replies[-1] = with_loading(finished, lease.waited_s)
                    self._metrics.answered(question.opened.name, finished.statistics)
                yield replies

    async def count(self, question: Question) -> int:
        """Return how many tokens a prompt has; its wish is an `AskTokens`."""
        async with self._lease(question) as lease:
            return await _count(lease, question.wish)

    async def vectors(self, question: Question) -> tuple[Embedded, float]:
        """Return vectors or scores, and the seconds that the request waited for its model."""
        wish = question.wish
        count = len(wish.texts) if isinstance(wish, AskVectors) else len(wish.documents)  # type: ignore[union-attr]
        parts: list[Part] = []
        async with self._lease(question) as lease, aclosing(lease.worker.ask(wish)) as said:
            async for pieces in said:
                parts += [piece for piece in pieces if isinstance(piece, Part)]
            found = collect(parts, count)
            self._metrics.embedded(question.opened.name, sum(found.tokens))
            return found, lease.waited_s

    def parameters(self, question: Question) -> dict[str, ParameterValue]:
        """Return what the model is loaded under: its own parameters over the defaults.

        Of the request's options only those of loading count here; others may ask the same worker.
        """
        own = {**self._defaults, **question.opened.parameters}
        return {**own, **loading_of(question.options)}

    def _lease(self, question: Question) -> AbstractAsyncContextManager[Lease]:
        model, parameters = question.opened.model, self.parameters(question)
        return self.pool.use(model, parameters, question.keep_s)


def _with_options(question: Question) -> Wish:
    """Return the wish of *question*; an answer is written under its options."""
    wish = question.wish
    return replace(wish, options=question.options) if isinstance(wish, Ask) else wish


async def _at_fault(lease: Lease, wish: Wish) -> AsyncGenerator[list[Piece], None]:
    """Yield what comes for *wish*; what a worker that goes on refuses is the request's fault."""
    try:
        async with aclosing(lease.worker.ask(wish)) as said:
            async for pieces in said:
                yield pieces
    except EngineError as error:
        if not lease.worker.is_alive:
            raise
        raise UnableError(str(error), hint=error.hint) from None


async def _count(lease: Lease, wish: Wish) -> int:
    async with aclosing(lease.worker.ask(wish)) as said:
        async for pieces in said:
            if isinstance(pieces[-1], Finished):
                return pieces[-1].statistics.prompt_tokens
    raise EngineError("the prompt was not counted")


def merged(pieces: Sequence[Piece]) -> Replies:
    """Return *pieces* with consecutive text in one piece."""
    if len(pieces) == 1:
        return [piece for piece in pieces if not isinstance(piece, Part)]
    found: Replies = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, Part):
            continue
        if isinstance(piece, Delta) and isinstance(last, Delta):
            found[-1] = Delta(last.text + piece.text, (*last.logprobs, *piece.logprobs))
        elif isinstance(piece, Thinking) and isinstance(last, Thinking):
            found[-1] = Thinking(last.text + piece.text)
        else:
            found.append(piece)
    return found
