"""Acts on what the policy decides: starts workers, lends them to requests, and ends them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelpack.errors import EngineError, ModelPackError
from modelpack.runtime.options import load_options_from
from modelpack.runtime.worker.spawn import Child, WorkerDiedError
from modelpack.server.daemon.pool.memory import Memory
from modelpack.server.daemon.pool.policy import (
    Action,
    Load,
    Room,
    Runner,
    Start,
    Want,
    decide,
    next_time,
)
from modelpack.server.daemon.pool.values import (
    BusyError,
    Lease,
    Limits,
    Loaded,
    Model,
    StoppingError,
)
from modelpack.server.daemon.pool.worker import AsyncWorker

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions
    from modelpack.runtime.prompts import Parameters


_TRIES = 2
"""Workers that may die while they load a model before those who want it hear of that."""
_AFTER_S = 0.001
"""A timer that comes a little too early would find nothing to do."""


@dataclass(slots=True)
class _Waiting:
    want: Want
    model: Model
    parameters: Parameters
    options: LoadOptions
    future: asyncio.Future[_Running]
    tries: int = 0
    """Workers that died while they loaded the model for it."""


@dataclass(slots=True, eq=False)
class _Running:
    runner: Runner
    model: Model
    worker: AsyncWorker | None = None
    child: Child | None = None
    doomed: bool = False
    """Whether it was told to end while it was being loaded."""
    keep_s: float = math.inf
    """How long it stays after the request that ended last."""


class Pool:
    """The models that are loaded. Used from one event loop."""

    def __init__(self, limits: Limits, memory: Memory | None = None) -> None:
        self.limits = limits
        self._memory = memory or Memory(slots=limits.places)
        self._loop = asyncio.get_running_loop()
        self._numbers = 0
        self._waiting: list[_Waiting] = []
        self._running: dict[int, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.loads = 0
        """How many times a model was loaded, for the metrics."""
        self.deaths = 0
        """How many workers have ended by themselves."""

    @property
    def waiting(self) -> int:
        """Requests that have no place yet."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next request that must wait is refused."""
        return len(self._waiting) >= max(1, self.limits.queue)

    def loaded(self) -> list[Loaded]:
        """Return what is loaded, being loaded or leaving."""
        return [_told(running) for running in self._running.values()]

    @asynccontextmanager
    async def use(
        self, model: Model, parameters: Parameters, keep_s: float
    ) -> AsyncIterator[Lease]:
        """Have a place at *model*, loaded under *parameters*; wait for it in a queue.

        When its last request has ended the model stays for *keep_s* seconds.

        Raises:
            BusyError: too many wait already.
            StoppingError: the server is about to end.
            EngineError: the model cannot be loaded.
        """
        came = self._loop.time()
        running = await self._place(model, parameters)
        running.keep_s = keep_s
        try:
            if running.worker is None:  # it died in the same moment
                raise WorkerDiedError(f"the process of the model {model.files.name!r} crashed")
            yield Lease(running.worker, self._loop.time() - came)
        finally:
            self._release(running)

    def expire(self, digest: str) -> None:
        """Let the model *digest* go as soon as nobody uses it."""
        for running in self._running.values():
            if running.model.digest == digest:
                running.keep_s = 0.0
                running.runner = replace(running.runner, expires_at=self._loop.time())
        self._turn()

    async def unload(self, digest: str) -> None:
        """Let the model *digest* go, and wait until it has if nobody uses it."""
        self.expire(digest)
        while any(r.model.digest == digest and not r.runner.users for r in self._running.values()):
            if not self._tasks:
                return
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """End every worker; who waits hears of it."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._waiting:
            _fail(waiting, StoppingError("the server is stopping"))
        self._waiting.clear()
        for running in list(self._running.values()):
            running.doomed = True
            if running.worker is not None:
                self._later(self._leave(running))
            elif running.child is not None:
                running.child.end()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _place(self, model: Model, parameters: Parameters) -> _Running:
        options = load_options_from(model.files, parameters)
        size = 0
        if not self._is_there(model, options):
            size = await self._memory.size(model.files, options)
        if self._closing:
            raise StoppingError("the server is stopping")
        self._numbers += 1
        want = Want(
            number=self._numbers,
            model=model.digest,
            load=options,
            size=size,
            since=self._loop.time(),
        )
        future: asyncio.Future[_Running] = self._loop.create_future()
        waiting = _Waiting(want, model, parameters, options, future)
        self._waiting.append(waiting)
        self._turn()
        if not future.done() and len(self._waiting) > self.limits.queue:
            self._waiting.remove(waiting)
            raise BusyError("server busy, please try again.  maximum pending requests exceeded")
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._release(future.result())
            raise
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                self._turn()

    def _is_there(self, model: Model, options: LoadOptions) -> bool:
        return any(
            running.model.digest == model.digest and running.runner.load == options
            for running in self._running.values()
        )

    def _release(self, running: _Running) -> None:
        now = self._loop.time()
        runner = running.runner
        running.runner = replace(
            runner, users=runner.users - 1, used_at=now, expires_at=now + running.keep_s
        )
        self._turn()

    def _turn(self) -> None:
        """Do what the policy says, and look again when time alone changes something."""
        if self._closing:
            return
        now = self._loop.time()
        wants = self._wants()
        runners = [running.runner for running in self._running.values()]
        known = {runner.model for runner in runners}
        looks = any(want.model not in known for want in wants)
        room = Room(self.limits.runners, self._memory.free() if looks else 0)
        for action in decide(wants, runners, room, now):
            self._act(action, now)
        self._wake(now)

    def _wants(self) -> list[Want]:
        """Return what is waited for; who was cancelled is only about to be taken off the list."""
        return [waiting.want for waiting in self._waiting if not waiting.future.done()]

    def _wake(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = next_time(self._wants(), (running.runner for running in self._running.values()), now)
        if at < math.inf:
            self._timer = self._loop.call_at(at + _AFTER_S, self._turn)

    def _act(self, action: Action, now: float) -> None:
        if isinstance(action, Start):
            running = self._running[action.runner]
            waiting = self._taken(action.want)
            users = running.runner.users + 1
            running.runner = replace(running.runner, users=users, used_at=now)
            waiting.future.set_result(running)
        elif isinstance(action, Load):
            self._load(next(w for w in self._waiting if w.want.number == action.want))
        else:
            running = self._running[action.runner]
            running.runner = replace(running.runner, state="leaving")
            self._later(self._leave(running))

    def _taken(self, number: int) -> _Waiting:
        waiting = next(w for w in self._waiting if w.want.number == number)
        self._waiting.remove(waiting)
        return waiting

    def _load(self, waiting: _Waiting) -> None:
        self._numbers += 1
        runner = Runner(
            number=self._numbers,
            model=waiting.want.model,
            load=waiting.want.load,
            state="loading",
            places=self.limits.places,
            used_at=self._loop.time(),
        )
        running = _Running(runner, waiting.model)
        self._running[runner.number] = running
        self._memory.take(runner.number, waiting.want.size)
        self._later(self._bring(running, waiting.parameters))

    async def _bring(self, running: _Running, parameters: Parameters) -> None:
        """Load the model of *running*; whoever wants it hears of a failure."""

        def started(child: Child) -> None:
            running.child = child
            if running.doomed:
                child.end()

        def load() -> Child:
            return Child(
                running.model.files,
                parameters,
                parallel=self.limits.places,
                stall_s=self.limits.load_timeout_s,
                started=started,
            )

        number = running.runner.number
        try:
            child = await asyncio.to_thread(load)
        except (ModelPackError, OSError) as error:
            self._forget(number)
            self._refuse(running, error)
            self._turn()
            return
        running.worker = AsyncWorker(child, lambda: self._died(running))
        self._memory.keep(number)
        self.loads += 1
        now = self._loop.time()
        running.runner = replace(running.runner, state="ready", used_at=now, expires_at=now)
        if running.doomed:
            await self._leave(running)
        self._turn()

    def _refuse(self, running: _Running, error: Exception) -> None:
        cause = (
            error
            if isinstance(error, ModelPackError)
            else EngineError(
                f"cannot start a process for the model {running.model.files.name!r}: {error}"
            )
        )
        wanted = (running.runner.model, running.runner.load)
        for waiting in list(self._waiting):
            if (waiting.want.model, waiting.want.load) == wanted:
                waiting.tries += 1
                if isinstance(error, WorkerDiedError) and waiting.tries < _TRIES:
                    continue
                self._waiting.remove(waiting)
                _fail(waiting, cause)

    def _died(self, running: _Running) -> None:
        self.deaths += 1
        running.runner = replace(running.runner, state="leaving")
        self._later(self._leave(running))

    async def _leave(self, running: _Running) -> None:
        worker, running.worker = running.worker, None
        if worker is not None:
            await worker.close()
        self._forget(running.runner.number)
        self._turn()

    def _forget(self, number: int) -> None:
        self._running.pop(number, None)
        self._memory.give_back(number)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fail(waiting: _Waiting, error: ModelPackError) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)


def _told(running: _Running) -> Loaded:
    runner, child = running.runner, running.child
    return Loaded(
        model=running.model,
        state=runner.state,
        size=getattr(child, "size", 0),
        size_vram=getattr(child, "size_vram", 0),
        processor=getattr(child, "processor", ""),
        n_ctx=getattr(child, "n_ctx", 0),
        users=runner.users,
        places=runner.places,
        expires_at=runner.expires_at,
    )
