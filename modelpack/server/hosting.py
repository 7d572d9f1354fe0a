"""uvicorn, as both of our servers need it.

The head of a request is bounded in bytes and in time; uvicorn bounds neither when it parses with
httptools. Once a second the server looks for clients that hold a connection for nothing, and drops
them. Small answers go out at once: asyncio turns Nagle's algorithm off only on sockets it made
itself, and with it every answer takes 40 ms. A server ends when it is told to, from any thread, and
leaves signals to its caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import time
from collections.abc import Callable, Generator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from modelpack.server.patience import Taking, acknowledged

HEAD = 64 * 1024
"""Bytes of a request line with its headers."""
HEAD_TIMEOUT_S = 30.0
"""How long a client may take to send them."""
VAIN_TIMEOUT_S = 60.0
"""How long a client may go on, after an answer, with the rest of a body that nobody reads."""
_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` so that the kernel forgets a connection when it is closed."""


class Server(uvicorn.Server):
    """A server that calls *ready* when it answers, and ends soon after `end` was called."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End: let requests finish for a while; called again, drop them."""
        self.force_exit = self.should_exit
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._ended.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        if self.started:
            self._ready()

    async def main_loop(self) -> None:
        """Wait for the end; look at connections, and keep the date header right meanwhile."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 1.0)

    async def on_tick(self, counter: int) -> bool:
        """Drop the connections that are held up."""
        now = time.monotonic()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, BoundProtocol) and connection.is_held_up(now):
                connection.drop()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


class BoundProtocol(HttpToolsProtocol):
    """Drops a connection whose request line and headers are too long or too slow.

    Its server drops those whose client reads too little, or sends for nobody.
    """

    _in_head = True
    _head_size = 0
    _headers_size = 0
    _head_timer: asyncio.TimerHandle | None = None
    _taking: Taking | None = None
    _answered: RequestResponseCycle | None = None
    _answered_since = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new client its time to say something."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._in_head, self._head_size, self._headers_size = True, 0, 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, unless there are too many: a whole head may come at once."""
        self._headers_size += len(name) + len(value)
        if self._headers_size > HEAD:
            raise ValueError("request head too long")  # the parser makes a refusal of it
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse *data*, unless the head has grown too long."""
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > HEAD and not self.transport.is_closing():
            self.send_400_response("Request head too long.")

    def is_held_up(self, now: float) -> bool:
        """Tell whether the client reads too little, or sends what nobody waits for.

        Bodies are timed where they are read, heads and pauses between requests by other timers.
        """
        waiting = self.transport.get_write_buffer_size()
        if waiting or self.flow.write_paused:
            left = waiting + getattr(self.cycle, "expected_content_length", 0)
            taken = acknowledged(self.transport.get_extra_info("socket"))
            if self._taking is not None:
                return self._taking.is_too_slow(now, taken, left)
            self._taking = Taking(now, taken, left)
            return False
        self._taking = None
        answered = getattr(self.cycle, "response_complete", True)
        if not answered or self._head_timer is not None or self.timeout_keep_alive_task is not None:
            return False
        if self._answered is not self.cycle:
            self._answered, self._answered_since = self.cycle, now
        return now - self._answered_since > VAIN_TIMEOUT_S

    def drop(self) -> None:
        """Forget the client, and have the kernel forget what it did not read."""
        with contextlib.suppress(OSError):
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
