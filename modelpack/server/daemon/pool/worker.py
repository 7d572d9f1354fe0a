"""A worker as the event loop sees it: no thread waits for it, and each request has a mailbox.

One frame comes for a step of the engine, whatever the number of requests in it. Where a reader is
slower than the engine, its pieces gather in the mailbox and are read together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

from modelpack import limits
from modelpack.engine.base import Finished
from modelpack.errors import EngineError, ModelPackError
from modelpack.runtime.worker.frames import encode, take
from modelpack.runtime.worker.messages import Piece, Wish, reply_from_json, wish_to_json
from modelpack.runtime.worker.spawn import Child

_READ = 256 * 1024
_WATCH_S = 5.0
"""How often it is looked whether a worker hangs."""

Said: TypeAlias = Piece | ModelPackError


class Mailbox:
    """What has come for one request and was not read yet; one task reads it."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._waiter: asyncio.Future[None] | None = None

    def put(self, said: Said) -> None:
        """Add *said*, and wake the reader."""
        self._said.append(said)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def take(self) -> list[Said]:
        """Return all that has come; wait if nothing has."""
        if not self._said:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        said, self._said = self._said, []
        return said


class AsyncWorker:
    """Asks *child*, whose model is loaded; *died* is called once when it has ended by itself."""

    def __init__(self, child: Child, died: Callable[[], None]) -> None:
        self.child = child
        self._died = died
        self._loop = asyncio.get_running_loop()
        self._boxes: dict[int, Mailbox] = {}
        self._numbers = 0
        self._came = bytearray()
        self._sending = asyncio.Lock()
        self._cause: ModelPackError | None = None
        self._heard_at = self._loop.time()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch = self._loop.call_later(_WATCH_S, self._look)
        self._hung = False
        child.socket.setblocking(False)
        self._loop.add_reader(child.socket, self._readable)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._cause is None

    async def ask(self, wish: Wish) -> AsyncGenerator[list[Piece], None]:
        """Yield what comes for *wish*, together what came together; `Finished` comes last.

        Closing the generator early ends the answer at the next step.

        Raises:
            ModelPackError: what the worker says is wrong with *wish*.
            EngineError: the worker has died.
        """
        if self._cause is not None:
            raise self._cause
        self._numbers += 1
        number, box = self._numbers, Mailbox()
        if not self._boxes:
            self._heard_at = self._loop.time()
        self._boxes[number] = box
        ended = False
        try:
            await self._send(wish_to_json(replace(wish, number=number)))
            while not ended:
                pieces, error = _divide(await box.take())
                ended = error is not None or isinstance(pieces[-1], Finished)
                if pieces:
                    yield pieces
                if error is not None:
                    raise error
        finally:
            self._boxes.pop(number, None)
            if not ended and self._cause is None:
                self._later(self._cancel(number))

    async def close(self) -> None:
        """End the process; its memory is free when this returns."""
        self._end(EngineError(f"the model {self.child.name!r} was unloaded"))
        await asyncio.to_thread(self.child.close)

    def _readable(self) -> None:
        try:
            data = self.child.socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        self._heard_at = self._loop.time()
        self._came += data
        try:
            self._deliver()
        except (TypeError, ValueError, EngineError):
            self.child.end()
            self._lost()

    def _deliver(self) -> None:
        """Hand on every frame that is there as a whole."""
        while (said := take(self._came)) is not None:
            for number, kind, value in said:  # type: ignore[attr-defined]
                box = self._boxes.get(number)
                if box is not None:
                    box.put(reply_from_json(kind, value))

    def _lost(self) -> None:
        """Take note that the other end is gone; find out why apart from the loop."""
        self._loop.remove_reader(self.child.socket)
        if self._cause is None:
            self._later(self._bury())

    async def _bury(self) -> None:
        cause = await asyncio.to_thread(self.child.post_mortem, hung=self._hung)
        if self._cause is None:
            self._end(cause)
            self._died()

    def _end(self, cause: ModelPackError) -> None:
        """Tell everybody who waits that nothing more comes."""
        self._loop.remove_reader(self.child.socket)
        self._watch.cancel()
        self._cause = self._cause or cause
        for box in self._boxes.values():
            box.put(self._cause)

    def _look(self) -> None:
        """Kill a worker that has something to do and says nothing for too long."""
        self._watch = self._loop.call_later(_WATCH_S, self._look)
        silent = self._loop.time() - self._heard_at > limits.WORKER_SILENCE_S
        if self._boxes and silent and not self._hung:
            self._hung = True
            self.child.end()

    async def _send(self, value: object) -> None:
        # A frame that was begun is sent to its end, whatever becomes of the request.
        await asyncio.shield(self._later(self._write(encode(value))))

    async def _write(self, frame: bytes) -> None:
        async with self._sending:
            if self._cause is not None:
                return  # its socket is closed
            with suppress(OSError, ValueError):  # the reader learns why
                await self._loop.sock_sendall(self.child.socket, frame)

    async def _cancel(self, number: int) -> None:
        await self._send({"cancel": number})

    def _later(self, work: Any) -> asyncio.Task[None]:  # noqa: ANN401 - a coroutine of any kind
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _divide(said: list[Said]) -> tuple[list[Piece], ModelPackError | None]:
    """Return the pieces in *said* up to an error, and that error."""
    pieces: list[Piece] = []
    for one in said:
        if isinstance(one, ModelPackError):
            return pieces, one
        pieces.append(one)
    return pieces, None
