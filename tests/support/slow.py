"""Clients that send or take next to nothing."""

from __future__ import annotations

import select
import socket
import time

_PAUSE_S = 0.05
_PATIENCE_S = 20.0


def trickle(sock: socket.socket, byte: bytes) -> tuple[int, bytes]:
    """Send *byte* now and then until there is an answer; return how often, and the answer."""
    sock.setblocking(False)
    began, sent, answer = time.monotonic(), 0, b""
    while not answer and time.monotonic() - began < _PATIENCE_S:
        sent += sock.send(byte)
        time.sleep(_PAUSE_S)
        try:
            answer = sock.recv(65536)
        except BlockingIOError:
            continue
    return sent, answer


def is_dropped(sock: socket.socket) -> bool:
    """Wait until the server has dropped the connection, without reading from it."""
    poll = select.poll()
    poll.register(sock, select.POLLERR)
    return bool(poll.poll(_PATIENCE_S * 1000))
