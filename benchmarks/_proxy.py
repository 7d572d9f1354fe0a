"""A TCP proxy that counts bytes, and can add a round trip as of a distant registry.

Run as a program, `_proxy.py PORT UPSTREAM COUNTERS DELAY`. What the client sends is passed on
DELAY seconds after it came, and a new connection waits once more, as a handshake would; the way
back is at once. COUNTERS is a file of two 64-bit numbers: bytes from the client, bytes to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _background import background, free_port

_BLOCK = 256 * 1024
_PIPE = 1024 * 1024
_IN_FLIGHT = 128 * 1024 * 1024
"""Bytes of one connection that are on their way: more than a gigabyte each 50 ms."""
_NUMBERS = struct.Struct("=QQ")


class Counters:
    """How many bytes went through a proxy, in a file that two processes share."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _NUMBERS.size)
        self._lock = threading.Lock()

    def add(self, up: int, down: int) -> None:
        """Count bytes from and to the client."""
        with self._lock:
            before_up, before_down = _NUMBERS.unpack_from(self._map)
            _NUMBERS.pack_into(self._map, 0, before_up + up, before_down + down)

    def both(self) -> int:
        """Return all bytes in either direction."""
        return sum(_NUMBERS.unpack_from(self._map))


@contextmanager
def proxied(upstream: str, folder: Path, delay: float = 0.0) -> Iterator[tuple[str, Counters]]:
    """Run a proxy to *upstream* for as long as the block; gives its `host:port` and counters."""
    port = free_port()
    path = folder / "counters"
    path.write_bytes(bytes(_NUMBERS.size))
    command = [sys.executable, __file__, str(port), upstream, str(path), str(delay)]
    with background(command, port, folder / "proxy.log"):
        yield f"127.0.0.1:{port}", Counters(path)


class Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket, counters: Counters) -> None:
        self._client = client
        self._server = server
        self._counters = counters
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self, delay: float) -> None:
        """Pass bytes on until both sides are done."""
        back = threading.Thread(target=self._splice, args=(self._server, self._client, False))
        back.start()
        if delay:
            self._send_late(delay)
        else:
            self._splice(self._client, self._server, True)
        back.join()
        self._client.close()
        self._server.close()

    def _splice(self, source: socket.socket, to: socket.socket, up: bool) -> None:
        """Move bytes inside the kernel."""
        out, into = os.pipe()
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, _PIPE)
        with contextlib.suppress(OSError):
            while size := os.splice(source.fileno(), into, _PIPE):
                self._counters.add(size if up else 0, 0 if up else size)
                while size:
                    size -= os.splice(out, to.fileno(), size)
        os.close(out)
        os.close(into)
        _finish(to, source)

    def _send_late(self, delay: float) -> None:
        Late(self._client, self._server, self._counters, delay).run()
        _finish(self._server, self._client)


class Late:
    """The way from a client to the server, with chunks under way."""

    def __init__(
        self, client: socket.socket, server: socket.socket, counters: Counters, delay: float
    ) -> None:
        self._client = client
        self._server = server
        self._counters = counters
        self._delay = delay
        self._connected = time.monotonic() + delay
        self._way: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._change = threading.Condition()

    def run(self) -> None:
        """Pass on what comes, each chunk when it is due, until the client ends."""
        reader = threading.Thread(target=self._read)
        reader.start()
        with contextlib.suppress(OSError):
            while chunk := self._next():
                self._server.sendall(chunk)
        with self._change:
            self._size = -1
            self._change.notify_all()
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RD)
        reader.join()

    def _read(self) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = self._client.recv(_BLOCK)
            except OSError:
                chunk = b""
            self._counters.add(len(chunk), 0)
            due = max(time.monotonic(), self._connected) + self._delay
            with self._change:
                if self._size < 0:
                    return
                self._way.append((due, chunk))
                self._size += len(chunk)
                self._change.notify_all()
                self._change.wait_for(lambda: self._size < _IN_FLIGHT)

    def _next(self) -> bytes:
        with self._change:
            self._change.wait_for(lambda: self._way)
            due, chunk = self._way.popleft()
            self._size -= len(chunk)
            self._change.notify_all()
        time.sleep(max(0.0, due - time.monotonic()))
        return chunk


def _finish(to: socket.socket, source: socket.socket) -> None:
    """Tell both sides that nothing more goes this way."""
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        source.shutdown(socket.SHUT_RD)


def main() -> None:
    port, upstream, counters, delay = sys.argv[1:]
    host, _, number = upstream.rpartition(":")
    shared = Counters(Path(counters))
    with socket.create_server(("127.0.0.1", int(port)), backlog=128) as listener:
        while True:
            client, _ = listener.accept()
            link = Link(client, socket.create_connection((host, int(number))), shared)
            threading.Thread(target=link.run, args=(float(delay),), daemon=True).start()


if __name__ == "__main__":
    main()
