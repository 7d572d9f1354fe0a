"""Clients that take too little of what they asked for: they would hold connections, which are few.

What a client has taken is what its kernel has acknowledged, or what ours let go of, whichever is
more: a slow client empties a large buffer in ours unseen for minutes. Nothing is timed on the way;
the server looks once a second at those connections on which something waits.
"""

from __future__ import annotations

import socket
import struct
import sys

from modelpack.server.registry.settings import ANSWER_TIMEOUT_S, READER_WINDOW_S, SLOWEST

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
        return self._silent_s >= ANSWER_TIMEOUT_S or self._credit_s <= 0


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
