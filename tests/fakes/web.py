"""A small web server on a thread: it remembers what it was asked, and ends for certain."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

BLOCK = 64 * 1024


@dataclass(frozen=True)
class Seen:
    """One request, its body read."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


class Exchange(BaseHTTPRequestHandler):
    """One connection; `owner` decides what is answered."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: FakeServer
    body: bytes

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def setup(self) -> None:
        super().setup()
        self.owner.connections.append(self.connection)

    def log_message(self, *_args: object) -> None:
        """Print nothing."""

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.body = b""
        early = self.owner.fault_for(self.command, self.path, early=True)
        if early is None:
            self.body = self.rfile.read(int(headers.get("content-length", 0)))
        self.owner.seen.append(Seen(self.command, self.path, headers, self.body))
        fault = early or self.owner.fault_for(self.command, self.path)
        (fault or self.owner.answer)(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; underscores in the names of *headers* are dashes."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Content-Length", str(len(body)))
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Cut the connection here."""
        self.close_connection = True
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Answer = Callable[[Exchange], None]


@dataclass
class Fault:
    """*answer* instead of the right one, for paths with *part*, *times* times.

    *method* may be several, with blanks between them.
    """

    method: str
    part: str
    answer: Answer
    times: int
    early: bool

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and method in self.method.split() and self.part in path


class FakeServer:
    """Listens on a free port of the loopback while used in `with`."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self.seen: list[Seen] = []
        self.sent = 0
        """Bytes of bodies that `serve` has sent."""
        self.connections: list[socket.socket] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        handler = type("Handler", (Exchange,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = False
        self._http.handle_error = lambda *_args: None  # type: ignore[method-assign]
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self.url = f"https://{self.host}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()

    def answer(self, exchange: Exchange) -> None:
        exchange.reply(404)

    def instead(
        self, method: str, part: str, answer: Answer, *, times: int = 1 << 30, early: bool = False
    ) -> None:
        """Switch a fault on; an *early* one answers before the body is read."""
        self._faults.insert(0, Fault(method, part, answer, times, early))

    def healthy(self) -> None:
        """Switch all faults off."""
        self._faults.clear()

    def fault_for(self, method: str, path: str, *, early: bool = False) -> Answer | None:
        with self._lock:
            for fault in self._faults:
                if fault.early == early and fault.fits(method, path):
                    fault.times -= 1
                    return fault.answer
        return None

    def asked(self, method: str, part: str = "") -> list[Seen]:
        """Return the requests with *method* whose path has *part*."""
        return [s for s in self.seen if s.method == method and part in s.path]


@contextlib.contextmanager
def switched_off() -> Iterator[str]:
    """Yield a `host:port` where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer just that."""
    return lambda exchange: exchange.reply(status, body, **headers)


def html(status: int = 200) -> Answer:
    """Answer as a proxy or a wiki does."""
    return says(
        status, b"<!DOCTYPE html><html><body>Welcome</body></html>", Content_Type="text/html"
    )


def serve(
    exchange: Exchange,
    data: bytes,
    *,
    ranges: bool = True,
    pace_s: float = 0.0,
    said: str = "",
    promised: int | None = None,
    cut: int | None = None,
    block: int = BLOCK,
    until: threading.Event | None = None,
) -> None:
    """Send *data*, or the range of it that is asked for, in blocks of *block* bytes.

    A liar has *said* another Content-Range or *promised* another length, and a weak one hangs up
    after *cut* bytes, or stays silent *until* it is told.
    """
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", exchange.headers.get("Range", ""))
    start, stop = (int(wanted[1]), int(wanted[2]) + 1) if wanted and ranges else (0, len(data))
    part = data[start:stop]
    exchange.send_response(206 if wanted and ranges else 200)
    exchange.send_header("Content-Length", str(len(part) if promised is None else promised))
    if wanted and ranges:
        exchange.send_header("Content-Range", said or f"bytes {start}-{stop - 1}/{len(data)}")
    exchange.end_headers()
    if exchange.command == "HEAD":
        return
    for at in range(0, len(part[:cut]), block):
        piece = part[at : min(at + block, len(part[:cut]))]
        exchange.wfile.write(piece)
        exchange.owner.sent += len(piece)
        if pace_s:
            time.sleep(pace_s)
    if until is not None:
        until.wait(60)
    if cut is not None or promised is not None:
        exchange.hang_up()


def cut_after(body: bytes, promised: int) -> Answer:
    """Promise *promised* bytes, send *body*, and hang up."""

    def answer(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(promised))
        exchange.end_headers()
        exchange.wfile.write(body)
        exchange.hang_up()

    return answer


def stalls(body: bytes, promised: int, until: threading.Event) -> Answer:
    """Promise *promised* bytes, send *body*, and then nothing before *until*."""

    def answer(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(promised))
        exchange.end_headers()
        exchange.wfile.write(body)
        exchange.wfile.flush()
        until.wait(30)
        exchange.hang_up()

    return answer


def hangs_up_inside_the_body(exchange: Exchange) -> None:
    """Read half of the request's body and cut the connection (an early fault)."""
    exchange.rfile.read(int(exchange.headers["Content-Length"]) // 2)
    exchange.hang_up()
