"""The decode loop: requests in, pieces of text out, one step at a time.

Each step computes one batch for all busy slots, then chooses one token for every slot whose tokens
are all computed. A slot keeps what it computed after its answer ends, so that a prompt that begins
the same way (the next turn of a chat) is not computed again.

After anything is raised out of a step, a KeyboardInterrupt included, the loop can be used again:
what the slots hold is brought back in line with what the loop knows they hold.

Threads, processes and queues between them are not here; one thread owns a loop.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine.base import (
    Chunk,
    Decoder,
    Delta,
    Detokenizer,
    Event,
    Finished,
    Flag,
    Reason,
    Request,
)
from modelpack.engine.batch import PROMPT_CHUNK, Take, Want, common_prefix, plan_step
from modelpack.engine.slots import Clock, Job, Slot
from modelpack.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Generator

Owned: TypeAlias = tuple[int, Event]
"""A request's number, and what there is to say to whoever asked."""


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
        self._slots = [Slot(index) for index in range(bounds.slots)]
        self._queue: deque[Job] = deque()
        self._numbers = 0

    @property
    def busy(self) -> bool:
        """Whether another step would do anything."""
        return bool(self._queue) or any(slot.job for slot in self._slots)

    def submit(self, request: Request) -> int:
        """Take *request* in and return its number.

        Raises:
            EngineError: the prompt is empty or does not fit the context.
        """
        count = len(request.tokens)
        if not count:
            raise EngineError("the prompt is empty")
        if count >= self._bounds.n_ctx:
            raise EngineError(
                f"the prompt is {count:,} tokens long and the context holds {self._bounds.n_ctx:,}",
                hint="shorten it, or raise the parameter num_ctx",
            )
        self._numbers += 1
        self._queue.append(Job(self._numbers, request, self._clock))
        return self._numbers

    def cancel(self, number: int) -> None:
        """End request *number* at the next step; it may have ended already."""
        for job in self._jobs():
            if job.number == number:
                job.cancelled = True

    def step(self) -> list[Owned]:
        """Compute one step and return what became known in it."""
        said = self._drop_cancelled()
        self._admit()
        bounds, wants = self._bounds, self._wants()
        takes = plan_step(wants, capacity=bounds.n_batch, prompt_chunk=bounds.prompt_chunk)
        if not takes:
            return said
        try:
            self._compute(takes)
            said += self._choose(takes)
        except BaseException:
            self._resynchronize()
            raise
        return said

    def run(self, request: Request, cancel: Flag | None = None) -> Generator[Event, None, None]:
        """Answer *request* alone, until it ends or *cancel* is set.

        For a loop with one user: what other requests have to say meanwhile is lost. Closing the
        iterator early frees the slot.
        """
        number = self.submit(request)
        try:
            while self.busy:
                if cancel is not None and cancel.is_set():
                    self.cancel(number)
                for owner, event in self.step():
                    if owner == number:
                        yield event
                    if owner == number and isinstance(event, Finished):
                        return
        finally:
            self._abandon(number)

    def _jobs(self) -> list[Job]:
        return [*self._queue, *(slot.job for slot in self._slots if slot.job is not None)]

    def _drop_cancelled(self) -> list[Owned]:
        said: list[Owned] = []
        for job in self._jobs():
            if job.cancelled:
                said += self._finish(job, "cancelled")
        return said

    def _finish(self, job: Job, reason: Reason) -> list[Owned]:
        said = [(job.number, event) for event in job.end(reason)]
        self._abandon(job.number)
        return said

    def _abandon(self, number: int) -> None:
        for job in self._jobs():
            if job.number == number:
                job.close()
        self._queue = deque(job for job in self._queue if job.number != number)
        for slot in self._slots:
            if slot.job is not None and slot.job.number == number:
                slot.job = None

    def _admit(self) -> None:
        """Give waiting requests the free slot that already holds most of their prompt."""
        free = [slot for slot in self._slots if slot.job is None]
        while self._queue and free:
            job = self._queue.popleft()
            tokens = job.request.tokens
            held = {slot.index: common_prefix(tuple(slot.held), tokens) for slot in free}
            slot = max(free, key=lambda slot: held[slot.index])
            free.remove(slot)
            # The last token is computed again in any case: what comes after it is wanted.
            cached = self._trim(slot, min(held[slot.index], len(tokens) - 1))
            job.start(cached, self._decoder.sampler(job.request.sampling, tokens))
            slot.job = job

    def _trim(self, slot: Slot, count: int) -> int:
        # If this is interrupted, the slot knows less than it holds, never more.
        held, slot.held = slot.held, []
        kept = self._decoder.keep(slot.index, count)
        slot.held = held[:kept]
        return kept

    def _wants(self) -> list[Want]:
        busy = [(slot.index, slot.job) for slot in self._slots if slot.job is not None]
        busy.sort(key=lambda pair: pair[1].number)
        return [Want(index, len(job.pending), job.writing) for index, job in busy]

    def _compute(self, takes: list[Take]) -> None:
        parts: list[tuple[Slot, Job, Chunk]] = []
        for take in takes:
            slot = self._slots[take.slot]
            if slot.job is not None:
                tokens = slot.job.pending[: take.count]
                chunk = Chunk(slot.index, len(slot.held), tokens, take.output)
                parts.append((slot, slot.job, chunk))
        self._decoder.decode([chunk for _, _, chunk in parts])
        for slot, job, chunk in parts:
            slot.held.extend(chunk.tokens)
            job.computed(len(chunk.tokens))

    def _choose(self, takes: list[Take]) -> list[Owned]:
        said: list[Owned] = []
        row = -1
        for take in takes:
            row += take.count
            slot = self._slots[take.slot]
            if take.output and slot.job is not None and slot.job.sampler is not None:
                token = slot.job.sampler.sample(row)
                said += self._accept(slot, slot.job, token)
        return said

    def _accept(self, slot: Slot, job: Job, token: int) -> list[Owned]:
        if job.request.sampling.num_predict == 0:
            return self._finish(job, "length")
        job.sampled(token)
        if self._detokenizer.ends(token):
            return self._finish(job, "stop")
        text = job.text.feed(self._detokenizer.piece(token))
        said: list[Owned] = [(job.number, Delta(text))] if text else []
        if job.text.stopped:
            return said + self._finish(job, "stop")
        if 0 < job.request.sampling.num_predict <= job.generated:
            return said + self._finish(job, "length")
        if len(slot.held) >= self._bounds.n_ctx:
            return said + self._finish(job, "length")
        return said

    def _resynchronize(self) -> None:
        for slot in self._slots:
            self._trim(slot, len(slot.held))
