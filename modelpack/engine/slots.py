"""What the loop remembers of a slot and of the answer being written in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from modelpack.engine.base import Delta, Event, Finished, Reason, Request, Sampler, Statistics
from modelpack.engine.text import TextStream

Clock: TypeAlias = Callable[[], float]


@dataclass(slots=True)
class Job:
    """One request on its way."""

    number: int
    request: Request
    clock: Clock
    text: TextStream = field(init=False)
    pending: Sequence[int] = ()
    """Tokens that are next to be computed."""
    sampler: Sampler | None = None
    cached: int = 0
    generated: int = 0
    cancelled: bool = False
    asked_s: float = field(init=False)
    started_s: float = 0.0
    prompt_done_s: float = 0.0

    def __post_init__(self) -> None:
        self.text = TextStream(self.request.sampling.stop)
        self.asked_s = self.clock()

    @property
    def writing(self) -> bool:
        """Whether the prompt is computed."""
        return self.generated > 0

    def start(self, cached: int, sampler: Sampler) -> None:
        """Begin, with the first *cached* tokens of the prompt already computed."""
        self.cached = cached
        self.pending = self.request.tokens[cached:]
        self.sampler = sampler
        self.started_s = self.clock()

    def computed(self, count: int) -> None:
        """Take note that the first *count* pending tokens are computed."""
        self.pending = self.pending[count:]

    def sampled(self, token: int) -> None:
        """Take note of the next token of the answer."""
        if not self.generated:
            self.prompt_done_s = self.clock()
        self.generated += 1
        self.pending = (token,)

    def end(self, reason: Reason) -> list[Event]:
        """Return the rest of the text, if any, and the end."""
        self.close()
        rest = self.text.finish()
        said: list[Event] = [Delta(rest)] if rest else []
        return [*said, Finished(reason, self._statistics())]

    def close(self) -> None:
        """Free the sampler."""
        if self.sampler is not None:
            self.sampler.close()
            self.sampler = None

    def _statistics(self) -> Statistics:
        now = self.clock()
        started = self.started_s or now
        prompt_done = self.prompt_done_s or now
        return Statistics(
            prompt_tokens=len(self.request.tokens),
            cached_tokens=self.cached,
            prompt_s=prompt_done - started,
            generated_tokens=self.generated,
            generation_s=now - prompt_done,
            total_s=now - self.asked_s,
        )


@dataclass(slots=True)
class Slot:
    """A place in the model's memory, and who uses it."""

    index: int
    held: list[int] = field(default_factory=list)
    """The tokens whose computation is in memory, at positions 0, 1, 2…"""
    job: Job | None = None
