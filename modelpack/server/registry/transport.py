"""uvicorn, as the registry needs it: applications may let the kernel send files.

The head of an answer waits for the body, which is there at once in every answer of the registry:
uvicorn alone sends them one after the other, which takes both sides twice as many system calls.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from modelpack.server.hosting import BoundProtocol
from modelpack.server.registry import zerocopy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn._types import ASGI3Application


class FileSendingProtocol(BoundProtocol):
    """Offers the kernel's help to applications, where it can help."""

    _sends_files = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look whether it can."""
        super().connection_made(transport)
        self._sends_files = zerocopy.is_possible(transport, self.loop)

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
