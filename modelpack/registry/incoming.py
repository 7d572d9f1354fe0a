"""An answer as it comes from a connection of ours: its head, then its body piece by piece."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from modelpack import limits
from modelpack.registry.heads import (
    END,
    NO_BODY,
    Headers,
    LineError,
    is_last,
    length_of,
    parse_head,
)

_INTERIM = b"HTTP/1.1 1"
"""How an answer begins that another one follows."""
_MOST = 2**63 - 1
_CHUNK_LINE, _CHUNK_DIGITS, _TRAILERS = 1024, 15, 100
_HEX = frozenset(b"0123456789abcdefABCDEF")


def pour_all(receive: Callable[[memoryview], int], room: memoryview) -> int:
    """Let *receive* fill *room* while it is quick; return how many bytes, 0 at the end.

    TLS gives 16 KiB at a time, and to hand those on takes longer than to receive them.
    """
    count = more = receive(room)
    ends = time.monotonic() + limits.POUR_S
    while more and count < len(room) and time.monotonic() < ends:
        try:
            more = receive(room[count:])
        except OSError:
            break  # whoever asks again is told again
        count += more
    return count


def pour_out(receive: Callable[[memoryview], int], size: int) -> bytes:
    """Return up to *size* bytes that *receive* gives while it is quick; see `pour_all`."""
    room = memoryview(bytearray(size))
    return bytes(room[: pour_all(receive, room)])


class Stream:
    """What comes on *sock*, of which more may have come than was wanted yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._in_records = hasattr(sock, "pending")
        """Whether it is TLS that comes."""
        self._early = bytearray()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come but what was taken."""
        return not self._early

    def head(self, timeout_s: float) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next answer, which must come in this time.

        Raises:
            OSError: it does not come.
            LineError: it is not in the plainest form.
        """
        now = time.monotonic()
        ends = now + timeout_s
        while True:
            end = self._early.find(END)
            if end < 0:
                if len(self._early) > limits.ANSWER_HEAD:
                    raise LineError("the headers do not end")
                self.sock.settimeout(ends - now)
                self._more()
            elif not self._early.startswith(_INTERIM):
                break
            else:
                del self._early[: end + len(END)]
            now = time.monotonic()
            if now >= ends:
                raise TimeoutError
        self.sock.settimeout(limits.READ_TIMEOUT_S)
        text = self._early[:end].decode("latin-1")
        del self._early[: end + len(END)]
        return parse_head(text)

    def take(self, size: int) -> bytes:
        """Return what is there of the next *size* bytes; empty where the connection has ended."""
        if not self._early:
            if self._in_records:
                return pour_out(self.sock.recv_into, size)
            return self.sock.recv(size)
        data = bytes(self._early[:size])
        del self._early[:size]
        return data

    def pour(self, room: memoryview) -> int:
        """Put what comes next into *room*; return how many bytes, 0 at the end."""
        if not self._early:
            return pour_all(self.sock.recv_into, room)
        data = self.take(len(room))
        room[: len(data)] = data
        return len(data)

    def line(self, ends: float) -> bytes:
        """Return the next line, without its end, which must come before the clock says *ends*.

        Raises:
            OSError: it does not come.
            LineError: it is too long.
        """
        while (end := self._early.find(b"\r\n")) < 0:
            if len(self._early) > _CHUNK_LINE:
                raise LineError("a line of a chunked body does not end")
            if time.monotonic() >= ends:
                raise TimeoutError
            self._more()
        found = bytes(self._early[:end])
        del self._early[: end + 2]
        return found

    def _more(self) -> None:
        data = self.sock.recv(limits.BLOCK)
        if not data:
            raise ConnectionError("the server hung up")
        self._early += data


class Incoming:
    """The answer to a *method* for *url*; implements `modelpack.registry.exchange.Answer`.

    *done* is told at the end whether the connection is good for another request.
    """

    def __init__(
        self, stream: Stream, method: str, url: str, timeout_s: float, done: Callable[[bool], None]
    ) -> None:
        self.status_code, found = stream.head(timeout_s)
        self.method = method
        self.url = url
        self.headers = Headers(found)
        self._stream = stream
        self._done = done
        self._keeps = not is_last(found)
        self._closed = False
        self._chunked = False
        """Whether there are more chunks."""
        self._within = False
        """Whether a chunk was begun."""
        self._left: int | None = 0
        """Bytes that are still to come, of the chunk where there are chunks; None is all."""
        if method == "HEAD" or self.status_code in NO_BODY:
            return
        said = found.get("transfer-encoding")
        if said is not None:
            if said.lower() != "chunked" or "content-length" in found:
                raise LineError("the body is framed oddly")
            self._chunked = True
        elif "content-length" in found:
            self._left = length_of(found, _MOST)
        else:
            self._left, self._keeps = None, False

    def read(self, size: int, /) -> bytes:
        """Return what is there of the body, empty at its end; waits for the first byte only."""
        wanted = self._wanted(size)
        if not wanted:
            return b""
        data = self._stream.take(wanted)
        self._count(len(data))
        return data

    def readinto(self, room: memoryview, /) -> int:
        """Put what is there of the body into *room*; return how many bytes, 0 at its end."""
        wanted = self._wanted(len(room))
        if not wanted:
            return 0
        count = self._stream.pour(room[:wanted])
        self._count(count)
        return count

    def close(self) -> None:
        """Read no more; a connection whose answer was read to its end is used again."""
        if not self._closed:
            self._closed = True
            whole = self._left == 0 and not self._chunked
            self._done(self._keeps and whole and self._stream.is_quiet)

    def _wanted(self, size: int) -> int:
        """Return how much of *size* bytes to ask for, 0 at the end."""
        if self._closed:
            return 0
        if self._chunked and not self._left:
            self._next_chunk()
        return size if self._left is None else min(size, self._left)

    def _count(self, count: int) -> None:
        if self._left is None:
            return
        if not count:
            self._keeps = False
            raise LineError(f"{self._left:,} bytes are missing")
        self._left -= count

    def _next_chunk(self) -> None:
        ends = time.monotonic() + limits.STALL_S
        if self._within and self._stream.line(ends):
            raise LineError("a chunk is longer than it says")
        self._within = True
        digits = self._stream.line(ends).partition(b";")[0].strip()
        if not digits or len(digits) > _CHUNK_DIGITS or not _HEX.issuperset(digits):
            raise LineError("a chunk has no good length")
        self._left = int(digits, 16)
        if not self._left:
            self._chunked = False
            for _ in range(_TRAILERS):
                if not self._stream.line(ends):
                    return
            raise LineError("what follows the chunks does not end")
