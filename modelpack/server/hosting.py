"""uvicorn, as both of our servers need it.

The head of a request is bounded in bytes and in time; uvicorn bounds neither when it parses with
httptools. Small answers go out at once: asyncio turns Nagle's algorithm off only on sockets it made
itself, and with it every answer takes 40 ms. A server ends when it is told to, from any thread, and
leaves signals to its caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 64 * 1024
"""Bytes of a request line with its headers."""
HEAD_TIMEOUT_S = 30.0
"""How long a client may take to send them."""


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
        """Wait for the end, and keep the date header right meanwhile."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


class HeadBoundProtocol(HttpToolsProtocol):
    """Drops a connection whose request line and headers are too long or too slow."""

    _in_head = True
    _head_size = 0
    _headers_size = 0
    _head_timer: asyncio.TimerHandle | None = None

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

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
