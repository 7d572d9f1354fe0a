"""uvicorn, as the registry needs it: applications may let the kernel send files.

Once a second the server looks for clients that hold a connection for nothing, and drops them.
The head of an answer waits for the body, which is there at once in every answer of the registry:
uvicorn alone sends them one after the other, which takes both sides twice as many system calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import time
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from modelpack.server.hosting import HeadBoundProtocol, Server
from modelpack.server.registry import zerocopy
from modelpack.server.registry.readers import Taking, acknowledged
from modelpack.server.registry.settings import BODY_TIMEOUT_S

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn._types import ASGI3Application

_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` so that the kernel forgets a connection when it is closed."""


class WatchingServer(Server):
    """A server that looks at its connections once a second, and drops those that are held up."""

    async def on_tick(self, counter: int) -> bool:
        """Look at them."""
        now = time.monotonic()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, FileSendingProtocol) and connection.is_held_up(now):
                connection.drop()
        return await super().on_tick(counter)


class FileSendingProtocol(HeadBoundProtocol):
    """Offers the kernel's help to applications, where it can help."""

    _sends_files = False
    _taking: Taking | None = None
    _answered: RequestResponseCycle | None = None
    _answered_since = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look whether it can."""
        super().connection_made(transport)
        self._sends_files = zerocopy.is_possible(transport, self.loop)

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
        return now - self._answered_since > BODY_TIMEOUT_S

    def drop(self) -> None:
        """Forget the client, and have the kernel forget what it did not read."""
        with contextlib.suppress(OSError):
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        one = _together(app, cycle)  # type: ignore[arg-type]
        if self._sends_files:
            one = zerocopy.offering(one, cycle)
        super()._start_asgi_task(cycle, one)  # type: ignore[arg-type]


def _together(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """Return *app*, whose answer in the one *cycle* begins with head and body together."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        head: Message | None = None

        async def send_whole(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
                return
            if head is not None:
                first, head = head, None
                with _Gathering(cycle):
                    await send(first)
                    if message["type"] == "http.response.body":
                        await send(message)
                        return
            await send(message)

        await app(scope, receive, send_whole)

    return whole


class _Gathering(asyncio.Transport):
    """Stands in for the transport of *cycle* in a `with` block; what is written goes out after."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        super().__init__()
        self._cycle = cycle
        self._transport = cycle.transport
        self._written: list[bytes | bytearray | memoryview] = []
        self._closes = False

    def __enter__(self) -> None:
        self._cycle.transport = self

    def __exit__(self, *_error: object) -> None:
        self._cycle.transport = self._transport
        self._transport.write(b"".join(self._written))
        if self._closes:
            self._transport.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Gather *data*."""
        self._written.append(data)

    def close(self) -> None:
        """Close the connection after the block."""
        self._closes = True
