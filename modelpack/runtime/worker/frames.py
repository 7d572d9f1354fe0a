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
        data = json.dumps(value, separators=(",", ":")).encode()
        if len(data) > limits.FRAME:
            raise LimitError(f"a request of {len(data):,} bytes is more than a model gets at once")
        with self._sending:
            self._sock.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Value:
        """Return the next value, or None at the end.

        Raises:
            EngineError: what comes is not such a value.
            TimeoutError: nothing came for as long as the socket waits; call it again.
        """
        head = self._read(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > limits.FRAME:
            raise EngineError(f"a frame of {length:,} bytes came from the other process")
        body = self._read(_LENGTH.size + length)
        if body is None:
            return None
        data = bytes(body[_LENGTH.size :])
        del self._came[: _LENGTH.size + length]
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise EngineError("nonsense came from the other process") from None

    def shut(self) -> None:
        """Let the other end, and whoever waits here, know that nothing more comes."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _read(self, count: int) -> bytes | None:
        """Return the first *count* bytes of what is not taken yet, or None at the end."""
        while len(self._came) < count:
            try:
                data = self._sock.recv(limits.BLOCK)
            except ConnectionError:
                return None
            if not data:
                return None
            self._came += data
        return bytes(self._came[:count])
