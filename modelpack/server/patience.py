"""Clients that send or take too little: they would hold connections, which are few.

What a client has taken is what its kernel has acknowledged, or what ours let go of, whichever is
more: a slow client empties a large buffer in ours unseen for minutes. Nothing is timed on the way;
the server looks once a second at those connections on which something waits.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterable, AsyncIterator

from modelpack import limits

SLOWEST = limits.STALL_BYTES / limits.STALL_S
"""Bytes a second that a client must read of an answer: what our own client gives up, too.

Not more, since several layers of a model share one slow line.
"""
READER_WINDOW_S = 120.0
"""So long may a client read less than that, once it has read as much as it must."""
_LOOK_S = 2.0
"""More time than this between two looks does not count: it was not the client who stood still."""
_TCP_INFO_ACKNOWLEDGED = struct.Struct("=120xQ")
"""`tcpi_bytes_acked` in the `tcp_info` of Linux."""


class Taking:
    """How a client takes what waits for it; begun when something does."""

    def __init__(self, now: float, acknowledged: int, left: int) -> None:
        self._seen = now
        self._acknowledged = acknowledged
        self._left = left
        self._silent_s = 0.0
        self._credit_s = READER_WINDOW_S

    def is_too_slow(self, now: float, acknowledged: int, left: int) -> bool:
        """Tell whether the client took nothing for long, or less than it must for longer.

        It has *acknowledged* so many bytes, and so many are *left* to be handed to the kernel.
        """
        passed = min(now - self._seen, _LOOK_S)
        taken = max(acknowledged - self._acknowledged, abs(left - self._left))
        self._seen, self._acknowledged, self._left = now, acknowledged, left
        self._silent_s = 0.0 if taken else self._silent_s + passed
        self._credit_s = min(self._credit_s - passed + taken / SLOWEST, READER_WINDOW_S)
        return self._silent_s >= limits.ANSWER_TIMEOUT_S or self._credit_s <= 0


class Body:
    """The body of a request in *blocks*, from a client that sends *slowest* bytes a second.

    It may pause for *pause_s*. Each byte gives it time, but never more than that; what whoever
    reads the body needs for a block is not counted.
    """

    def __init__(self, blocks: AsyncIterable[bytes], pause_s: float, slowest: float) -> None:
        self._blocks = blocks
        self._pause_s = pause_s
        self._slowest = slowest
        self._waiting: asyncio.Timeout | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the blocks as they come.

        Raises:
            TimeoutError: the client pauses for too long, or trickles.
        """
        clock = asyncio.get_running_loop().time
        blocks = aiter(self._blocks)
        left = self._pause_s
        while True:
            began = clock()
            try:
                async with asyncio.timeout_at(began + left) as self._waiting:
                    block = await anext(blocks)
            except StopAsyncIteration:
                return
            finally:
                self._waiting = None
            left = min(left + began - clock() + len(block) / self._slowest, self._pause_s)
            yield block

    def break_off(self) -> None:
        """Wait no longer, if the next block is being waited for."""
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())


def acknowledged(sock: socket.socket) -> int:
    """Return how many bytes the client's kernel has acknowledged; 0 where ours does not say."""
    if sys.platform != "linux":
        return 0
    try:
        said = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_ACKNOWLEDGED.size)
    except OSError:  # closed meanwhile
        return 0
    if len(said) < _TCP_INFO_ACKNOWLEDGED.size:
        return 0
    count: int = _TCP_INFO_ACKNOWLEDGED.unpack(said)[0]
    return count
