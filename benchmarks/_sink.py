"""A registry that forgets: it answers as one that has no blob, and only counts what it is sent.

Run as a program, `_sink.py PORT`. Blobs are thrown away inside the kernel, manifests are kept.
`GET /count` says how many bytes of blobs have come.
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from _background import background, free_port

_LINE = 32
_DISCARD = 1024 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TYPE = re.compile(rb"\r\ncontent-type: *([^\r]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_STATUS = {200: b"OK", 201: b"Created", 202: b"Accepted", 404: b"Not Found"}


@dataclass(slots=True)
class Known:
    """What the sink remembers."""

    count: int = 0
    manifests: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    """Head and body of the answer for each path."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, size: int) -> None:
        """Count *size* bytes."""
        with self._lock:
            self.count += size


class Client:
    """One connection to the sink."""

    def __init__(self, connection: socket.socket, known: Known) -> None:
        self._socket = connection
        self._known = known
        self._early = bytearray()
        self._scratch = bytearray(_DISCARD)

    def serve(self) -> None:
        """Answer requests until the client goes."""
        with self._socket:
            while head := self._head():
                method, target = head.split(b" ", 2)[:2]
                if _CONTINUE.search(head):
                    self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                if method == b"PUT" and b"/manifests/" in target:
                    self._keep(head, target)
                else:
                    size = self._chunks() if _CHUNKED.search(head) else self._body(head)
                    self._known.add(size)
                self._socket.sendall(self._answer(method, target))

    def _head(self) -> bytes:
        """Return the next request without its body, or nothing if there is none."""
        while (end := self._early.find(b"\r\n\r\n")) < 0:
            data = self._socket.recv(4096)
            if not data:
                return b""
            self._early += data
            if not self._early[:1].isalpha():  # whoever tries TLS shall not wait
                return b""
        head = bytes(self._early[: end + 4])
        del self._early[: end + 4]
        return head

    def _keep(self, head: bytes, target: bytes) -> None:
        while len(self._early) < _length(head):
            self._early += self._more(_DISCARD)
        body = bytes(self._early)
        self._early.clear()
        digest = b"sha256:" + hashlib.sha256(body).hexdigest().encode()
        kind = _TYPE.search(head)
        lines = b"Docker-Content-Digest: %s\r\nContent-Type: %s\r\n"
        answer = lines % (digest, kind[1] if kind else b""), body
        for path in (target, target.rpartition(b"/")[0] + b"/" + digest):
            self._known.manifests[path] = answer

    def _body(self, head: bytes) -> int:
        size = _length(head)
        self._drop(size)
        return size

    def _chunks(self) -> int:
        total = 0
        while True:
            line = self._line()
            size = int(line.partition(b";")[0], 16)
            self._drop(len(line) + 2 + size + 2)
            if not size:
                return total
            total += size

    def _line(self) -> bytes:
        """Return the line that begins a chunk, and leave it where it is."""
        while b"\r\n" not in self._early[:_LINE]:
            if not self._early:
                line, found, _ = self._socket.recv(_LINE, socket.MSG_PEEK).partition(b"\r\n")
                if found:
                    return line
            self._early += self._more(1)
        return bytes(self._early[: self._early.index(b"\r\n")])

    def _more(self, size: int) -> bytes:
        data = self._socket.recv(size)
        if not data:
            raise ConnectionError
        return data

    def _drop(self, size: int) -> None:
        early = min(size, len(self._early))
        del self._early[:early]
        size -= early
        while size:
            got = self._socket.recv_into(self._scratch, min(size, _DISCARD), socket.MSG_TRUNC)
            if not got:
                raise ConnectionError
            size -= got

    def _answer(self, method: bytes, target: bytes) -> bytes:
        status, more, body = 404, b"", b""
        if target == b"/count":
            status, body = 200, b"%d" % self._known.count
        elif method in (b"GET", b"HEAD") and target in self._known.manifests:
            status = 200
            more, body = self._known.manifests[target]
        elif method == b"POST" or method == b"PATCH":
            path = target.partition(b"?")[0]
            place = path + b"1" if method == b"POST" else path
            status, more = 202, b"Location: %s\r\nRange: 0-0\r\n" % place
        elif method == b"PUT":
            status = 201
        elif target.rstrip(b"/") == b"/v2":
            status = 200
        head = b"HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n"
        start = head % (status, _STATUS[status], more, len(body))
        return start if method == b"HEAD" else start + body


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


@contextmanager
def sink(folder: Path) -> Iterator[str]:
    """Run a sink for as long as the block; gives its `host:port`."""
    port = free_port()
    with background([sys.executable, __file__, str(port)], port, folder / "sink.log"):
        yield f"127.0.0.1:{port}"


def counted(host: str) -> int:
    """Return how many bytes of blobs have come to the sink at *host*."""
    connection = HTTPConnection(host, timeout=10)
    connection.request("GET", "/count")
    total = int(connection.getresponse().read())
    connection.close()
    return total


def main() -> None:
    known = Known()
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Client(connection, known).serve, daemon=True).start()


if __name__ == "__main__":
    main()
