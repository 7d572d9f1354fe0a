"""What an answer's tokens let us tell: text, and how likely its tokens were where that is wanted.

Log-probabilities are measured several at a time, see `modelpack.engine.logprobs`, so the text that
they go with waits for more of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine.base import Delta
from modelpack.engine.likely import TokenLogprob, Top
from modelpack.engine.text import TextStream

if TYPE_CHECKING:
    from modelpack.engine.base import Detokenizer, Event, Request, Sampler
    from modelpack.engine.likely import Likely

Clock: TypeAlias = Callable[[], float]

HOLD_S = 0.01
"""How long pieces of a text are held back for more of them: what steps take with larger models."""


class Telling:
    """Makes pieces of the tokens of one answer, the first one at once.

    Others wait for up to *hold_s* seconds if log-probabilities are told.
    """

    def __init__(
        self,
        request: Request,
        sampler: Sampler,
        detokenizer: Detokenizer,
        *,
        clock: Clock,
        hold_s: float,
    ) -> None:
        self._spoken = request.spoken
        self._sampler = sampler
        self._detokenizer = detokenizer
        self._clock = clock
        self._hold_s = hold_s
        self._measures = request.logprobs
        self._text = TextStream(request.sampling.stop)
        self._waiting = ""
        self._told_s = -math.inf
        self._unmeasured: list[tuple[int, int]] = []
        """Tokens, and the characters at which they begin."""
        self._measured: deque[TokenLogprob] = deque()
        """Those of which the text was not told yet."""

    @property
    def stop(self) -> str:
        """The stop string that came; nothing is told after it."""
        return self._text.stop

    def ends(self, token: int) -> bool:
        """Tell whether *token* ends the answer."""
        return self._detokenizer.ends(token)

    def token(self, token: int) -> list[Event]:
        """Return what can be told after *token*."""
        if self._measures:
            self._unmeasured.append((token, self._text.decoded))
        spoken = token in self._spoken
        piece = self._detokenizer.spelling(token) if spoken else self._detokenizer.piece(token)
        text = self._text.feed(piece)
        if not self._measures:
            return [Delta(text)] if text else []
        self._waiting += text
        if not self._waiting or self._clock() - self._told_s < self._hold_s:
            return []
        return self.waiting()

    def waiting(self) -> list[Event]:
        """Return what waits for more."""
        text, self._waiting = self._waiting, ""
        if not text:
            return []
        self._told_s = self._clock()
        measured = self._sampler.measured()  # one more where the last token has ended the answer
        for (token, start), likely in zip(self._unmeasured, measured, strict=False):
            self._measured.append(self._describe(token, start, likely))
        self._unmeasured.clear()
        told: list[TokenLogprob] = []
        while self._measured and self._measured[0].start < self._text.given:
            told.append(self._measured.popleft())
        return [Delta(text, tuple(told))]

    def rest(self) -> list[Event]:
        """Return the end of the answer."""
        self._waiting += self._text.finish()
        return self.waiting()

    def _describe(self, token: int, start: int, likely: Likely) -> TokenLogprob:
        spelling = self._detokenizer.spelling
        top = Top(likely.top, list(map(spelling, likely.top)), likely.top_logprobs)
        return TokenLogprob(token, spelling(token), likely.logprob, top, start)
