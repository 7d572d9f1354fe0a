"""A request for the engine, and how its answer is to be read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelpack.engine.base import Delta, Failed, Finished
from modelpack.engine.likely import TokenLogprob
from modelpack.template.replies.parts import Part, Text

if TYPE_CHECKING:
    from modelpack.engine.base import Event, Request
    from modelpack.runtime.reply import Reply
    from modelpack.template.replies.parser import ReplyParser


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request, and what makes replies of what the engine says to it."""

    request: Request
    parser: ReplyParser | None = None
    left_out: int = 0
    """Messages that are not in the prompt because they did not fit."""
    _waiting: deque[TokenLogprob] = field(default_factory=deque, init=False, compare=False)
    """Log-probabilities of tokens that the parser has not told yet."""

    def read(self, event: Event | Failed) -> Iterator[Reply]:
        """Yield what *event* is to whoever asked.

        Log-probabilities come with the text of their tokens; those of thinking and of calls are
        left out.

        Raises:
            ModelPackError: that the answer has failed.
        """
        if isinstance(event, Failed):
            raise event.error
        if self.left_out and isinstance(event, Finished):
            took = replace(event.statistics, left_out_messages=self.left_out)
            event = replace(event, statistics=took)
        if self.parser is None:
            yield event
            return
        if isinstance(event, Delta):
            self._waiting.extend(event.logprobs)
            yield from map(self._reply, self.parser.feed(event.text))
            return
        yield from map(self._reply, self.parser.end())
        if isinstance(event, Finished):
            yield event

    def _reply(self, part: Part) -> Reply:
        if not isinstance(part, Text):
            return part
        return Delta(part.text, tuple(self._take(part.spans)) if self._waiting else ())

    def _take(self, spans: tuple[tuple[int, int], ...]) -> Iterator[TokenLogprob]:
        """Yield those of tokens that begin in *spans*; those before are of something else."""
        for start, end in spans:
            while self._waiting and self._waiting[0].start < end:
                said = self._waiting.popleft()
                if said.start >= start:
                    yield said
