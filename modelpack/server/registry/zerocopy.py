"""Files that the kernel sends: the ASGI extension `http.response.zerocopysend`, for uvicorn.

Offered on connections without TLS. The application sends, in place of a body, the name of the
extension with `file`, `offset` and `count`. A thread works only while the client takes what it
gets; a slow client is waited for without one.

See: https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, BinaryIO

from starlette.concurrency import run_in_threadpool

from modelpack.server.registry.settings import BLOCK, PIECE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

ZERO_COPY = "http.response.zerocopysend"
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the kernel says of a file system from which it cannot send."""


def is_possible(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether the kernel can send files on this connection."""
    return (
        hasattr(os, "sendfile")
        and isinstance(loop, asyncio.SelectorEventLoop)
        and transport.get_extra_info("sslcontext") is None
    )


def offering(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """Return *app*, with the extension for the one request that *cycle* answers."""

    async def offered(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_any(message: Message) -> None:
            if message["type"] != ZERO_COPY:
                await send(message)
                return
            offset = message["offset"]
            await _send_file(cycle, message["file"], offset, offset + message["count"])
            await send({"type": "http.response.body", "more_body": message.get("more_body", False)})

        scope["extensions"] = {ZERO_COPY: {}}
        await app(scope, receive, send_any)

    return offered


async def _send_file(cycle: RequestResponseCycle, file: BinaryIO, at: int, stop: int) -> None:
    """Send a part of *file*; less if the client leaves, or if there is less."""
    await _until_empty(cycle.transport, cycle.flow)
    if not cycle.transport.is_closing():
        sending = _Sending(cycle.transport.get_extra_info("socket").dup(), file)
        try:
            at = await _send_pieces(cycle, sending, at, stop)
        except (ConnectionError, TimeoutError):
            cycle.transport.abort()
        finally:
            sending.end()
    if at < stop and cycle.transport.is_closing():
        cycle.disconnected = True


async def _send_pieces(cycle: RequestResponseCycle, sending: _Sending, at: int, stop: int) -> int:
    """Return how far the file was sent."""
    while at < stop and not cycle.transport.is_closing():
        try:
            sent = await run_in_threadpool(sending.send, at, min(stop - at, PIECE))
        except BlockingIOError:
            if not cycle.transport.is_closing():
                await _until_writable(sending.sock, cycle.flow)
            continue
        if not sent:
            break  # the file was cut short; the server then drops the connection
        at += sent
        cycle.expected_content_length -= sent
    return at


class _Sending:
    """A file, and a socket of its own: the loop may watch it, and nobody else closes it.

    A request that is cancelled leaves its thread behind, so `end` waits until that has let go.
    """

    def __init__(self, sock: socket.socket, file: BinaryIO) -> None:
        self.sock = sock
        self._file = file
        self._busy = threading.Lock()

    def send(self, at: int, count: int) -> int:
        """Send what the connection takes at once of *count* bytes; runs in a thread."""
        with self._busy:
            try:
                return os.sendfile(self.sock.fileno(), self._file.fileno(), at, count)
            except OSError as error:
                if error.errno not in _UNABLE:
                    raise
                return self.sock.send(os.pread(self._file.fileno(), min(count, BLOCK), at))

    def end(self) -> None:
        """Close the socket. Whoever opened the file can close it after this."""
        with self._busy:
            self.sock.close()


async def _until_empty(transport: asyncio.Transport, flow: FlowControl) -> None:
    """Wait until what was written before is on its way."""
    if transport.get_write_buffer_size():
        transport.set_write_buffer_limits(high=0)
        await flow.drain()
        transport.set_write_buffer_limits()


async def _until_writable(sock: socket.socket, flow: FlowControl) -> None:
    """Wait until the client takes more, or the connection is lost: that ends every pause."""
    loop = asyncio.get_running_loop()
    flow.pause_writing()
    loop.add_writer(sock, flow.resume_writing)
    try:
        await flow.drain()
    finally:
        loop.remove_writer(sock)
        flow.resume_writing()
