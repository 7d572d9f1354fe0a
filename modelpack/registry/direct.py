"""Plain HTTP/1.1 with servers that are reached directly and behave well, without a library.

Loading one takes longer than many a transfer. Whatever is odd (a proxy, a redirect, a handshake
that fails, an answer that is not plainly framed) raises `OddError`, and the request is one for
`transport`, which knows what to do.
"""

from __future__ import annotations

import re
import select
import threading
from collections import defaultdict
from urllib.parse import SplitResult, urlsplit

from modelpack import limits
from modelpack.errors import NetworkError
from modelpack.registry.exchange import Answer, Body, Request
from modelpack.registry.heads import LineError
from modelpack.registry.incoming import Incoming, Stream
from modelpack.registry.places import described
from modelpack.registry.problems import unreachable
from modelpack.registry.ways import Ways
from modelpack.registry.wire import FilePart

_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_REPEATABLE = ("GET", "HEAD")
_REDIRECTS = (301, 302, 303, 307, 308)
_IDLE = 32


class OddError(Exception):
    """This is not for `Direct`; nothing has come of the request, or nothing that counts."""


class Direct:
    """Connections to the registry *host*, whose real name is *name*, and whomever it names."""

    def __init__(self, host: str, name: str, ways: Ways) -> None:
        self._host = host
        self._own = f"https://{name}".lower()
        self._ways = ways
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[Stream]] = defaultdict(list)
        self._answered: set[str] = set()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for streams in self._idle.values():
                while streams:
                    streams.pop().sock.close()

    def send(self, request: Request) -> Answer:
        """Send *request* and return the answer.

        Raises:
            OddError: this is not for us.
            NetworkError: there is no connection.
            OSError: it broke.
        """
        if not _URL.fullmatch(request.url):
            raise OddError
        where = urlsplit(request.url)
        root = f"{where.scheme}://{where.netloc}"
        head = _head(request, where)
        stream = self._take(root)
        kept = False

        def done(good: bool) -> None:
            self._give_back(root, stream, good=good)

        try:
            self._say(stream, head, request.body, secure=where.scheme == "https")
            answer = Incoming(stream, request.method, request.url, request.timeout_s, done)
            if not _is_odd(request, answer):
                kept = True
                self._answered.add(root)
                return answer
        except LineError:
            if request.method not in _REPEATABLE:
                raise
        except OSError as error:
            if where.scheme == "http" or root in self._answered or not _may_be_refusal(error):
                raise
            if request.method not in _REPEATABLE:
                raise
        finally:
            if not kept:
                stream.sock.close()
        raise OddError

    def _say(self, stream: Stream, head: bytes, body: Body | bytes | None, *, secure: bool) -> None:
        sock = stream.sock
        sock.settimeout(limits.READ_TIMEOUT_S)
        try:
            if not isinstance(body, Body):
                sock.sendall(head + (body or b""))
                return
            sock.sendall(head)
            for piece in body:
                if not isinstance(piece, FilePart):
                    sock.sendall(piece)
                elif secure:
                    for block in piece.blocks():
                        sock.sendall(block)
                else:
                    piece.send(sock)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it hung up

    def _take(self, root: str) -> Stream:
        """Return a connection to *root*, one that is there if possible."""
        while True:
            with self._lock:
                if not self._idle[root]:
                    break
                stream = self._idle[root].pop()
            if _is_alive(stream):
                return stream
            stream.sock.close()
        try:
            opened = self._ways.connect(root, identify=root.lower() == self._own)
        except TimeoutError:
            hint = "is the name right?"
            place = described(self._host, root)
            raise NetworkError(f"{place} does not answer", hint=hint) from None
        except OSError as error:
            if root.startswith("https:") and _may_be_refusal(error):
                raise OddError from None
            raise unreachable(self._host, root, error) from None
        if opened is None:
            raise OddError
        return Stream(opened)

    def _give_back(self, root: str, stream: Stream, *, good: bool) -> None:
        with self._lock:
            if good and len(self._idle[root]) < _IDLE:
                self._idle[root].append(stream)
                return
        stream.sock.close()


def _head(request: Request, where: SplitResult) -> bytes:
    """Return the request line and the headers of *request*."""
    body = request.body
    headers = {"Host": where.netloc, "Accept": "*/*", **request.headers}
    if body is not None or request.method not in (*_REPEATABLE, "DELETE"):
        headers["Content-Length"] = str(len(body) if body is not None else 0)
    if not all(_VALUE.fullmatch(value) for value in headers.values()):
        raise OddError
    query = f"?{where.query}" if where.query else ""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{request.method} {where.path or '/'}{query} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


def _is_odd(request: Request, answer: Incoming) -> bool:
    """Tell whether somebody else has to ask again, for more than we understand."""
    if request.method not in _REPEATABLE:
        return False
    redirected = request.follow and answer.status_code in _REDIRECTS
    return redirected or "content-encoding" in answer.headers


def _is_alive(stream: Stream) -> bool:
    """Tell whether the server has neither hung up nor said what nobody asked for."""
    waiting = select.poll()
    waiting.register(stream.sock, select.POLLIN)
    return not waiting.poll(0)


def _may_be_refusal(error: OSError) -> bool:
    """Tell whether *error* may be how a server refuses our TLS; `handshake` finds out why."""
    return type(error).__module__ == "ssl" or isinstance(error, ConnectionError)
