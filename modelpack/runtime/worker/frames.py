"""JSON values over a stream socket, each after its length in four bytes, big-endian."""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import TypeAlias

from modelpack import limits
from modelpack.errors import EngineError, LimitError

Value: TypeAlias = object
"""What JSON can say."""

_LENGTH = struct.Struct(">I")


def encode(value: Value) -> bytes:
    """Return *value* as a frame.

    Raises:
        LimitError: it is too large.
    """
    data = json.dumps(value, separators=(",", ":")).encode()
    if len(data) > limits.FRAME:
        raise LimitError(f"a request of {len(data):,} bytes is more than a model gets at once")
    return _LENGTH.pack(len(data)) + data


def take(came: bytearray) -> Value | None:
    """Take the first frame off *came* and return its value, or None if it is not whole yet.

    Raises:
        EngineError: what came is no frame.
    """
    if len(came) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(came)
    if length > limits.FRAME:
        raise EngineError(f"a frame of {length:,} bytes came from the other process")
    end = _LENGTH.size + length
    if len(came) < end:
        return None
    data = bytes(came[_LENGTH.size : end])
    del came[:end]
    try:
        return json.loads(data)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        raise EngineError("nonsense came from the other process") from None


class Frames:
    """One end; any thread may send, one receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._came = bytearray()

    def send(self, value: Value) -> None:
        """Send *value*.

        Raises:
            LimitError: it is too large.
            OSError: the other end is gone.
        """
        frame = encode(value)
        with self._sending:
            self._sock.sendall(frame)

    def receive(self) -> Value:
        """Return the next value, or None at the end.

        Raises:
            EngineError: what comes is not such a value.
            TimeoutError: nothing came for as long as the socket waits; call it again.
        """
        while (value := take(self._came)) is None:
            try:
                data = self._sock.recv(limits.BLOCK)
            except ConnectionError:
                return None
            if not data:
                return None
            self._came += data
        return value

    def shut(self) -> None:
        """Let the other end, and whoever waits here, know that nothing more comes."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
