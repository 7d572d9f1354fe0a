"""The decode loop: requests in, pieces of text out, one step at a time.

Each step computes one batch for all busy slots, then chooses one token for every slot whose tokens
are all computed. A slot keeps what it computed after its answer ends, so that a prompt that begins
the same way (the next turn of a chat) is not computed again.

What goes wrong for one request is told to whoever asked it; the others go on. After anything is
raised out of a step, a KeyboardInterrupt included, the loop can be used again: what the slots hold
is brought back in line with what the loop knows they hold.

Threads, processes and queues between them are not here. One thread owns a loop; only `cancel` may
come from another.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from modelpack.engine.base import (
    Choice,
    Chunk,
    Decoder,
    Detokenizer,
    Event,
    Failed,
    Finished,
    Flag,
    Reason,
    Request,
)
from modelpack.engine.batch import MIXED_CHUNK, PROMPT_CHUNK, Want, plan_step, take_turns
from modelpack.engine.media import is_media
from modelpack.engine.memory import Memory
from modelpack.engine.overflow import ENDLESS, plan_truncation
from modelpack.engine.pace import BRIEF, Pace
from modelpack.engine.slots import Job, Slot
from modelpack.engine.telling import Clock, Telling
from modelpack.errors import EngineError, ModelPackError

if TYPE_CHECKING:
    from collections.abc import Generator

FORCED = 64
"""Tokens that a grammar may give at once, at most."""

Owned: TypeAlias = tuple[int, Event | Failed]
"""A request's number, and what there is to say to whoever asked."""


_NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of everything a loop has."""

    n_ctx: int
    """Tokens that one slot can hold."""
    n_batch: int
    """Tokens that one step can compute."""
    slots: int = 1
    prompt_chunk: int = PROMPT_CHUNK
    """Tokens of prompts in one step."""
    apart: bool = False
    """Whether answers and prompts take turns: where each slot has memory of its own, llama.cpp
    computes them one after the other in any case, and not in the best way."""
    hold_s: float = 0.0
    """How long a text waits for more of it, in seconds, where log-probabilities go with it."""


class _Part(NamedTuple):
    """What one slot has in the step."""

    slot: Slot
    job: Job
    chunk: Chunk


class _Step(NamedTuple):
    """What is computed together."""

    parts: list[_Part]
    reading: frozenset[int] = frozenset()
    """Requests with a prompt in it."""
    rows: int = 0
    """Tokens in it but for one of each answer."""


class Loop:
    """Writes answers in some slots of one model's memory."""

    def __init__(
        self,
        decoder: Decoder,
        detokenizer: Detokenizer,
        bounds: Bounds,
        *,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._decoder = decoder
        self._detokenizer = detokenizer
        self._bounds = bounds
        self._clock = clock
        self._memory = Memory(decoder, bounds.slots)
        self._queue: deque[Job] = deque()
        self._numbers = 0
        self._cancelled: set[int] = set()
        self._computing: frozenset[int] = frozenset()
        """Requests with a prompt in the step being computed."""
        self._unsaid: list[Owned] = []
        """What a step that was broken off has left to be said."""
        self._pace = Pace()
        self._read_last = False
        self._crowded = False
        """Whether someone had to give way, so that nobody begins until somebody ends."""

    @property
    def busy(self) -> bool:
        """Whether another step would do anything."""
        return bool(self._queue or self._memory.busy)

    def submit(self, request: Request) -> int:
        """Take *request* in and return its number.

        Raises:
            EngineError: the prompt is empty or does not fit the context.
            InputError: the grammar or an option makes no sense.
            MissingExtraError: grammars need a library that is not installed.
        """
        tokens, n_ctx = list(request.tokens), self._bounds.n_ctx
        if not tokens:
            raise EngineError("the prompt is empty")
        if is_media(tokens[-1]):
            raise EngineError("the prompt ends with an image", hint="ask something about it")
        if len(tokens) >= n_ctx and (request.media or not request.truncate):
            raise EngineError(
                f"the prompt is {len(tokens):,} tokens long and the context holds {n_ctx:,}",
                hint="shorten it, or raise the parameter num_ctx",
            )
        num_predict = request.sampling.num_predict
        gap = plan_truncation(
            len(tokens), n_ctx=n_ctx, num_keep=request.num_keep, num_predict=num_predict
        )
        tokens = gap.cut(tokens)
        sampler = self._decoder.sampler(request, tokens)
        self._numbers += 1
        telling = Telling(
            request, sampler, self._detokenizer, clock=self._clock, hold_s=self._bounds.hold_s
        )
        job = Job(
            self._numbers, request, self._clock, tokens, sampler, telling, truncated=gap.count
        )
        self._queue.append(job)
        return self._numbers

    def cancel(self, number: int) -> None:
        """End request *number* at the next step; it may have ended already.

        Any thread may call this. While the prompt of that request is being computed, the step is
        broken off where the device allows it.
        """
        self._cancelled.add(number)
        if number in self._computing:
            self._decoder.abort()

    def step(self) -> list[Owned]:
        """Compute one step and return what became known in it."""
        self._unsaid += self._drop_cancelled()
        self._admit()
        try:
            self._unsaid += self._advance()
        except BaseException:
            self._memory.restore(self._memory.slots)
            raise
        said, self._unsaid = self._unsaid, []
        return said

    def run(self, request: Request, cancel: Flag | None = None) -> Generator[Event, None, None]:
        """Answer *request* alone, until it ends or *cancel* is set.

        For a loop with one user: what other requests have to say meanwhile is lost. Closing the
        iterator early frees the slot.

        Raises:
            EngineError: computing failed; or as `submit`.
        """
        number = self.submit(request)
        try:
            while self.busy:
                if cancel is not None and cancel.is_set():
                    self.cancel(number)
                for owner, event in self.step():
                    if owner != number:
                        continue
                    if isinstance(event, Failed):
                        raise event.error
                    yield event
                    if isinstance(event, Finished):
                        return
        finally:
            self._abandon(number)

    def _jobs(self) -> list[Job]:
        return [*self._queue, *(job for _, job in self._memory.busy)]

    def _drop_cancelled(self) -> list[Owned]:
        said: list[Owned] = []
        if self._cancelled:
            known = set(self._cancelled)
            for job in self._jobs():
                if job.number in known:
                    said += self._finish(job, "cancelled")
            self._cancelled -= known
        return said

    def _finish(self, job: Job, reason: Reason) -> list[Owned]:
        said: list[Owned] = [(job.number, event) for event in job.end(reason)]
        self._abandon(job.number)
        return said

    def _fail(self, job: Job, error: ModelPackError) -> list[Owned]:
        waiting: list[Owned] = [(job.number, event) for event in job.telling.waiting()]
        self._abandon(job.number)
        return [*waiting, (job.number, Failed(error))]

    def _abandon(self, number: int) -> None:
        for job in self._jobs():
            if job.number == number:
                job.close()
                self._crowded = False
        self._queue = deque(job for job in self._queue if job.number != number)
        self._memory.leave(number)

    def _admit(self) -> None:
        while self._queue and (free := self._memory.free):
            if self._crowded and free < self._bounds.slots:
                return
            self._memory.admit(self._queue.popleft())

    def _advance(self) -> list[Owned]:
        """Compute one step, after making room for it if need be."""
        while (step := self._plan()).parts:
            parts, self._computing = step.parts, step.reading
            began = self._clock()
            try:
                outcome = self._decoder.decode([part.chunk for part in parts])
            except EngineError as error:
                return self._fail_all(parts, error)
            finally:
                self._computing = _NOBODY
            if outcome == "done":
                return self._timed(step, began)
            if outcome == "aborted":
                self._memory.restore([part.slot for part in parts])
                return self._drop_cancelled()
            said = self._relieve()
            if said:
                return said
        return []

    def _plan(self) -> _Step:
        return self._plan_writing() or self._plan_reading()

    def _plan_writing(self) -> _Step | None:
        """Return the next step where all are writing one token, which is nearly always."""
        parts: list[_Part] = []
        for slot, job in self._memory.busy[: self._bounds.n_batch]:
            if not job.writing or len(job.pending) > 1:
                return None
            chunk = Chunk(slot.index, len(slot.held), job.pending, True)
            parts.append(_Part(slot, job, chunk))
        return _Step(parts)

    def _plan_reading(self) -> _Step:
        bounds, busy = self._bounds, self._memory.busy
        wants = [
            Want(slot.index, job.waiting, job.writing, alone=_is_media(job)) for slot, job in busy
        ]
        reading = [(slot, job) for slot, job in busy if not job.writing and not _is_media(job)]
        long = {slot.index for slot, job in reading if job.unread > BRIEF}
        wants.sort(key=lambda want: want.slot in long)
        if bounds.apart or any(want.alone for want in wants):
            wants = take_turns(wants, read=not self._read_last)
        writers = sum(job.writing for _, job in busy)
        most = bounds.prompt_chunk
        if writers and len(busy) > 1:
            most = self._pace.room(
                MIXED_CHUNK,
                writers=writers,
                readers=len(busy) - writers,
                brief=sum(job.waiting for slot, job in reading if slot.index not in long),
            )
        jobs = {slot.index: (slot, job) for slot, job in busy}
        parts: list[_Part] = []
        takes = plan_step(
            wants,
            capacity=bounds.n_batch,
            prompt_chunk=min(most, bounds.prompt_chunk),
        )
        for take in takes:
            slot, job = jobs[take.slot]
            tokens = job.pending[: take.count]
            output = take.output and take.count == len(job.pending)
            chunk = Chunk(slot.index, len(slot.held), tokens, output)
            parts.append(_Part(slot, job, chunk))
        read = [part for part in parts if not part.job.writing]
        rows = sum(len(part.chunk.tokens) for part in parts) - (len(parts) - len(read))
        return _Step(parts, frozenset(part.job.number for part in read), rows)

    def _timed(self, step: _Step, began: float) -> list[Owned]:
        """Choose the tokens after *step*, and take note of how long it all took."""
        parts, rows = step.parts, step.rows
        writing = len(parts) - len(step.reading)
        beside = rows > 0 and any(job.writing for _, job in self._memory.busy)
        said = self._choose(parts)
        took = self._clock() - began
        self._pace.took(took, writing=writing, reading=rows, beside=beside)
        self._read_last = rows > 0
        return said

    def _fail_all(self, parts: list[_Part], error: EngineError) -> list[Owned]:
        for part in parts:
            self._memory.trim(part.slot, 0)
        return [said for part in parts for said in self._fail(part.job, error)]

    def _relieve(self) -> list[Owned]:
        """Make room in memory; return what there is to say where somebody was given up."""
        done = self._memory.relieve()
        if done is None:
            return []
        relief, job = done
        if job is None:
            return []
        self._queue.appendleft(job)
        self._crowded = True
        if relief.action == "preempt":
            return [(job.number, event) for event in job.telling.waiting()]
        error = EngineError(
            "there is no memory left for this request, even alone",
            hint="lower the parameter num_ctx, or begin a new conversation",
        )
        return self._fail(job, error)

    def _choose(self, parts: list[_Part]) -> list[Owned]:
        for slot, job, chunk in parts:
            slot.held.extend(chunk.tokens)
            job.computed(len(chunk.tokens))
        said: list[Owned] = []
        row, n_ctx = -1, self._bounds.n_ctx
        for slot, job, chunk in parts:
            row += len(chunk.tokens)
            if not chunk.output:
                continue
            try:
                choice = job.sampler.sample(row, max(0, min(FORCED, n_ctx - len(slot.held) - 1)))
            except EngineError as error:
                said += self._fail(job, error)
            else:
                said += self._accept(slot, job, choice)
        return said

    def _accept(self, slot: Slot, job: Job, choice: Choice) -> list[Owned]:
        n_ctx = self._bounds.n_ctx
        events, reason = job.take(choice, endless=ENDLESS * n_ctx)
        said: list[Owned] = [(job.number, event) for event in events]
        if reason is None and len(slot.held) >= n_ctx and not self._memory.shift(slot, job):
            reason = "length"
        return said if reason is None else said + self._finish(job, reason)


def _is_media(job: Job) -> bool:
    return bool(job.request.media and job.pending) and is_media(job.pending[0])
