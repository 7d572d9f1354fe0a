"""The uploads of the registry in memory: chunks, status, mounts, and what others do differently."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from fakes.registry import FakeRegistry
    from fakes.web import Exchange

_CONTENT_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass
class Session:
    """One upload."""

    repo: str
    data: bytearray = field(default_factory=bytearray)
    turn: int = 0
    """Counts answers; a location is good only for the turn it was given for."""


class FakeUploads:
    """Takes blobs as the distribution specification has it, or as the switches say."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self.sessions: dict[str, Session] = {}
        self.count = 0
        self.received = 0
        """Bytes of blobs that came in all requests together."""
        self.base = ""
        """Where uploads go; empty for a relative Location."""
        self.patched = 202
        """The status of a chunk that was taken."""
        self.minimum = 0
        """What `OCI-Chunk-Min-Length` says; smaller chunks are refused unless they end the blob."""
        self.chunk_limit = 1 << 60
        """A larger chunk is answered with 416."""
        self.keeps = True
        """Whether an upload outlives a connection that broke."""
        self.says_range = True
        """Whether answers tell what has come."""
        self.mounts = True

    def answer(self, exchange: Exchange, repo: str, name: str) -> None:
        query = parse_qs(urlsplit(exchange.path).query)
        if exchange.command == "POST":
            self._start(exchange, repo, query)
            return
        session = self.sessions.get(name)
        if session is None or query.get("_state") != [f"a+b{session.turn}"]:
            exchange.reply(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"unknown"}]}')
        elif exchange.command == "GET":
            self._reply(exchange, 204, name)
        elif exchange.command == "DELETE":
            del self.sessions[name]
            exchange.reply(204)
        elif self._take(exchange, name, session):
            if exchange.command == "PUT":
                self._finish(exchange, name, session, query.get("digest", [""])[0])
            else:
                session.turn += 1
                self._reply(exchange, self.patched, name)

    def cut(self, after: int):
        """Return an early fault: *after* bytes of the body come, then the connection breaks."""

        def answer(exchange: Exchange) -> None:
            data = exchange.rfile.read(min(after, int(exchange.headers["Content-Length"])))
            self.received += len(data)
            name = urlsplit(exchange.path).path.rpartition("/")[2]
            if self.keeps:
                self.sessions[name].data += data
            else:
                self.sessions.pop(name, None)
            exchange.hang_up()

        return answer

    def _start(self, exchange: Exchange, repo: str, query: dict[str, list[str]]) -> None:
        digest = query.get("mount", [""])[0]
        if self.mounts and digest in self._registry.blobs and "from" in query:
            exchange.reply(201, Location=f"/v2/{repo}/blobs/{digest}")
            return
        with self._lock:
            self.count += 1
            name = str(self.count)
        self.sessions[name] = Session(repo)
        self._reply(exchange, 202, name)

    def _take(self, exchange: Exchange, name: str, session: Session) -> bool:
        data = exchange.body
        self.received += len(data)
        said = _CONTENT_RANGE.fullmatch(exchange.headers.get("Content-Range", ""))
        small = exchange.command == "PATCH" and 0 < len(data) < self.minimum
        if said and (int(said[1]), int(said[2]) + 1 - int(said[1])) != (
            len(session.data), len(data),
        ):  # fmt: skip
            self._reply(exchange, 416, name)
            return False
        if exchange.command == "PATCH" and (len(data) > self.chunk_limit or small):
            self._reply(exchange, 416, name)
            return False
        session.data += data
        return True

    def _finish(self, exchange: Exchange, name: str, session: Session, digest: str) -> None:
        from fakes.registry import digest_of

        del self.sessions[name]
        data = bytes(session.data)
        if digest_of(data) != digest:
            exchange.reply(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}')
            return
        self._registry.add_blob(data)
        exchange.reply(201)

    def _reply(self, exchange: Exchange, status: int, name: str) -> None:
        session = self.sessions[name]
        where = f"{self.base}/v2/{session.repo}/blobs/uploads/{name}?_state=a%2Bb{session.turn}"
        headers = {"Location": where}
        if self.says_range:
            headers["Range"] = f"0-{max(len(session.data) - 1, 0)}"
        if self.minimum:
            headers["OCI_Chunk_Min_Length"] = str(self.minimum)
        exchange.reply(status, **headers)
