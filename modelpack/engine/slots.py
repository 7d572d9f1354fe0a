"""What the loop remembers of a slot and of the answer being written in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from modelpack.engine.base import (
    Choice,
    Event,
    Finished,
    Reason,
    Request,
    Sampler,
    Statistics,
)
from modelpack.engine.batch import common_prefix
from modelpack.engine.media import run_length, without_media
from modelpack.engine.telling import Clock, Telling


@dataclass(slots=True)
class Job:
    """One request on its way."""

    number: int
    request: Request
    clock: Clock
    tokens: Sequence[int]
    """What is to be in memory before the next token can be chosen."""
    sampler: Sampler
    telling: Telling
    truncated: int = 0
    pending: Sequence[int] = ()
    """Tokens that are next to be computed."""
    unread: int = 0
    """How many tokens of the prompt there were to be computed when it began."""
    certain: int = 1
    """How many tokens the last step gave at once."""
    cached: int = 0
    generated: int = 0
    last: int = -1
    """The last token of the answer."""
    repeated: int = 0
    """How often the last token has come again."""
    shifted: int = 0
    asked_s: float = field(init=False)
    started_s: float = 0.0
    prompt_done_s: float = 0.0
    prompt_tokens: int = field(init=False)
    _known: list[int] = field(init=False)
    """Prompt and answer, where they are wanted."""

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)
        self._known = list(self.tokens) if self.request.wants_tokens else []
        self.asked_s = self.clock()

    @property
    def writing(self) -> bool:
        """Whether what is pending was just chosen, and is no prompt that is read or read again."""
        return self.generated > 0 and len(self.pending) <= self.certain

    @property
    def waiting(self) -> int:
        """How many of the pending tokens can be computed together."""
        if self.request.media and self.pending:
            return run_length(self.pending)
        return len(self.pending)

    def start(self, cached: int) -> None:
        """Begin, or go on elsewhere, with the first *cached* tokens already computed."""
        self.pending = self.tokens[cached:]
        self.unread = len(self.pending)
        self.certain = 1
        if not self.started_s:
            self.cached = cached
            self.started_s = self.clock()

    def preempt(self, held: Sequence[int]) -> None:
        """Wait for memory again; *held* was in it."""
        self.tokens = [*held, *self.pending]
        self.pending = ()

    def computed(self, count: int) -> None:
        """Take note that the first *count* pending tokens are computed."""
        self.pending = self.pending[count:]

    def sampled(self, token: int) -> None:
        """Take note of the next token of the answer, behind those that are pending."""
        if not self.generated:
            self.prompt_done_s = self.clock()
        if token == self.last:
            self.repeated += 1
        else:
            self.last, self.repeated = token, 0
        self.generated += 1
        self.pending = (*self.pending, token)

    def take(self, choice: Choice, *, endless: int) -> tuple[list[Event], Reason | None]:
        """Return what the next tokens let us tell, and why the answer ends if it does.

        One without a bound ends after *endless* tokens.
        """
        if not choice.forced:
            self.certain = 1
            return self._take(choice, endless)
        *others, last = map(Choice, (choice.token, *choice.forced))
        events: list[Event] = []
        for one in (*others, last._replace(complete=choice.complete)):
            more, reason = self._take(one, endless)
            events += more
            if reason is not None:
                break
        self.certain = len(self.pending)
        return events, reason

    def end(self, reason: Reason) -> list[Event]:
        """Return the rest of the text, if any, and the end."""
        self.close()
        rest = self.telling.rest()
        stop = self.telling.stop if reason == "stop" else ""
        known = tuple(without_media(self._known))
        return [*rest, Finished(reason, self._statistics(), stop, known)]

    def close(self) -> None:
        """Free the sampler; a second time does nothing."""
        self.sampler.close()

    def _take(self, choice: Choice, endless: int) -> tuple[list[Event], Reason | None]:
        request, token = self.request, choice.token
        limit = request.sampling.num_predict
        if limit == 0:
            return [], "length"
        self.sampled(token)
        if self.telling.ends(token):
            return [], "stop"
        if request.wants_tokens:
            self._known.append(token)
        events = self.telling.token(token)
        if self.telling.stop or choice.complete or 0 < request.repeats < self.repeated:
            return events, "stop"
        if self.generated >= (limit if limit > 0 else endless):
            return events, "length"
        return events, None

    def _statistics(self) -> Statistics:
        now = self.clock()
        started = self.started_s or now
        prompt_done = self.prompt_done_s or now
        return Statistics(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached,
            prompt_s=prompt_done - started,
            generated_tokens=self.generated,
            generation_s=now - prompt_done,
            total_s=now - self.asked_s,
            truncated_tokens=self.truncated,
            shifted_tokens=self.shifted,
        )


@dataclass(slots=True)
class Slot:
    """A place in the model's memory, and who uses it."""

    index: int
    held: list[int] = field(default_factory=list)
    """The tokens whose computation is in memory, at positions 0, 1, 2…"""
    job: Job | None = None
    used: int = 0
    """When it was given to a request last; larger is later."""
    sound: int | None = None
    """How many of the tokens held were computed after exactly those before them, if not all.

    What stays after a shift still knows of what is gone; it is good for its own answer only.
    """

    def reusable(self, tokens: Sequence[int]) -> int:
        """Return how many of the first of *tokens* need not be computed again."""
        held = self.held if self.sound is None else self.held[: self.sound]
        return common_prefix(held, tokens if isinstance(tokens, list) else list(tokens))
