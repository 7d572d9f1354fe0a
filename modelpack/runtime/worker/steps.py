"""What a worker computes, a step at a time: answers, and vectors between their steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from modelpack.engine.base import Delta, Finished, Statistics
from modelpack.engine.telling import HOLD_S
from modelpack.errors import EngineError
from modelpack.runtime.embedded import Part
from modelpack.runtime.prepared import Prepared
from modelpack.runtime.worker.messages import error_to_json, part_to_json, reply_to_json

if TYPE_CHECKING:
    from modelpack.engine.loop import Loop
    from modelpack.runtime.worker.frames import Frames

Said: TypeAlias = list[list[Any]]
"""What a frame tells the parent."""
_PLAIN = ("text", "thinking")
_TEXTS = (*_PLAIN, "told")
Work: TypeAlias = "Prepared | Iterator[Part]"


class Answers:
    """The requests that *loop* answers."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._asked: dict[int, tuple[int, Prepared]] = {}
        """What the loop calls each request, to what the parent calls it."""

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return self._loop.busy

    def begin(self, number: int, prepared: Prepared) -> Said:
        """Let the request *number* be answered."""
        try:
            inner = self._loop.submit(prepared.request)
        except Exception as error:  # noqa: BLE001 - the others go on
            return [error_to_json(number, error, "preparing the request")]
        self._asked[inner] = (number, prepared)
        return []

    def cancel(self, number: int) -> None:
        """End the request *number*, if it has not ended."""
        for inner, (outer, _) in self._asked.items():
            if outer == number:
                self._loop.cancel(inner)

    def step(self) -> Said:
        """Compute one step."""
        try:
            events = self._loop.step()
        except EngineError as error:
            said = [error_to_json(number, error) for number, _ in self._asked.values()]
            for inner in list(self._asked):
                self._loop.cancel(inner)
            self._asked.clear()
            return said
        return self._told(events)

    def _told(self, events: Iterable[tuple[int, Any]]) -> Said:
        said: Said = []
        for inner, event in events:
            if inner not in self._asked:
                continue
            number, prepared = self._asked[inner]
            try:
                said += [reply_to_json(number, reply) for reply in prepared.read(event)]
            except Exception as error:  # noqa: BLE001 - the others go on
                said.append(error_to_json(number, error, "reading the answer"))
                self._loop.cancel(inner)
                del self._asked[inner]
                continue
            if not isinstance(event, Delta):
                del self._asked[inner]
        return said


class Jobs:
    """Texts that become vectors, or are compared: one step of each request in turn."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[int, Iterator[Part], int]] = deque()

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return bool(self._jobs)

    def begin(self, number: int, parts: Iterator[Part]) -> None:
        """Let the *parts* of the request *number* be computed."""
        self._jobs.append((number, parts, 0))

    def cancel(self, number: int) -> Said:
        """End the request *number*, if it has not ended."""
        kept = [job for job in self._jobs if job[0] != number]
        ended = len(kept) < len(self._jobs)
        self._jobs = deque(kept)
        return [reply_to_json(number, Finished("cancelled", Statistics()))] if ended else []

    def step(self) -> Said:
        """Compute one step."""
        number, parts, tokens = self._jobs.popleft()
        try:
            part = next(parts, None)
        except Exception as error:  # noqa: BLE001 - the others go on
            return [error_to_json(number, error, "computing vectors")]
        if part is None:
            finished = Finished("stop", Statistics(prompt_tokens=tokens))
            return [reply_to_json(number, finished)]
        self._jobs.append((number, parts, tokens + sum(part.tokens)))
        return [part_to_json(number, part)]


class Held:
    """What waits to be told; texts that follow one another in an answer become one.

    A frame wakes two other processes, which costs as much as a step of a tiny model. The first
    piece of an answer does not wait.
    """

    def __init__(self) -> None:
        self.said: Said = []
        self._last: dict[int, list[Any]] = {}

    def add(self, said: Said) -> None:
        """Add *said*."""
        for piece in said:
            number, kind, value = piece
            last = self._last.get(number)
            if last is not None and last[1] == kind and kind in _PLAIN:
                last[2] += value
            else:
                self.said.append(piece)
                self._last[number] = piece


class Steps:
    """Computes while there is something to do, and tells the parent what came of it."""

    def __init__(self, loop: Loop | None, frames: Frames) -> None:
        self._answers = Answers(loop) if loop is not None else None
        self._jobs = Jobs()
        self._frames = frames
        self._new: SimpleQueue[tuple[int, Work | None]] = SimpleQueue()
        self._silent: set[int] = set()
        """The requests that nothing was said to yet."""

    def begin(self, number: int, work: Work) -> None:
        """Let the request *number* be answered."""
        self._new.put((number, work))

    def cancel(self, number: int) -> None:
        """End the request *number*, if it has not ended."""
        self._new.put((number, None))

    def run(self) -> None:
        """Go on for ever."""
        answers, jobs = self._answers, self._jobs
        held, sent_at = Held(), 0.0
        while True:
            writing = answers is not None and answers.busy
            busy = writing or jobs.busy
            said = self._take(wait=not busy)
            if answers is not None:
                said += answers.step()
            if jobs.busy:
                said += jobs.step()
            held.add(said)
            urgent = self._is_urgent(said)
            now = time.monotonic()
            if held.said and (urgent or not busy or now - sent_at >= HOLD_S):
                self._frames.send(held.said)
                held, sent_at = Held(), now

    def _is_urgent(self, said: Said) -> bool:
        """Tell whether whoever asked waits for *said*: for anything but more of a text."""
        if self._silent:
            heard = self._silent.intersection(piece[0] for piece in said)
            if heard:
                self._silent -= heard
                return True
        return any(piece[1] not in _TEXTS for piece in said)

    def _take(self, *, wait: bool) -> Said:
        said: Said = []
        try:
            while True:
                number, work = self._new.get(block=wait)
                wait = False
                said += self._begin(number, work)
        except Empty:
            return said

    def _begin(self, number: int, work: Work | None) -> Said:
        if work is None:
            if self._answers is not None:
                self._answers.cancel(number)
            return self._jobs.cancel(number)
        if not isinstance(work, Prepared):
            self._jobs.begin(number, work)
            return []
        if self._answers is None:
            return [error_to_json(number, EngineError("this model does not write text"))]
        self._silent.add(number)
        return self._answers.begin(number, work)
