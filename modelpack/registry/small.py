"""The small blobs of a repository: many are looked for, fetched and sent together.

What does not go as it should is left out, for whoever asks for it on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlencode, urlsplit

from modelpack import limits
from modelpack.errors import RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.registry.heads import LineError
from modelpack.registry.lines import Lines, Question, Reply, Talk
from modelpack.registry.places import is_same, named
from modelpack.registry.policy import UploadPolicy
from modelpack.registry.session import Session

Begun = Callable[[Descriptor, str, str, bool], None]
"""Told of an upload that was begun and did not end: what of, where, the smallest chunk that the
registry takes, and whether bytes were sent."""

_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _NOT_FOUND = 200, 201, 202, 204, 404
_TYPE = "Content-Type: application/octet-stream\r\n"


class SmallBlobs:
    """Those of the repository of *session*; for one thread, which closes it."""

    def __init__(self, session: Session, policy: UploadPolicy, begun: Begun) -> None:
        self._session = session
        self._policy = policy
        self._begun = begun
        self._lines = Lines(session.line)

    def close(self) -> None:
        """Close the connections."""
        self._lines.close()

    def look(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bool]]:
        """Yield which of *blobs* are there, and which are not, where a push would need them."""
        return self._lines.hold(map(self._head, blobs), width)

    def bring(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bytes]]:
        """Yield the bytes of *blobs*, not verified."""
        return self._lines.hold(map(self._get, blobs), width)

    def take(self, blobs: Iterable[tuple[Descriptor, bytes]], width: int) -> Iterator[Descriptor]:
        """Send *blobs*, and yield those that the registry has then."""
        return self._lines.hold((self._put(blob, data) for blob, data in blobs), width)

    def _head(self, blob: Descriptor) -> Talk[tuple[Descriptor, bool]]:
        reply = yield self._question("HEAD", self._url(blob), push=True)
        if reply.status == _NOT_FOUND:
            return blob, False
        if reply.status == _OK and reply.headers.get("content-length") == str(blob.size):
            return blob, True
        return None

    def _get(self, blob: Descriptor) -> Talk[tuple[Descriptor, bytes]]:
        reply = yield self._question("GET", self._url(blob), most=blob.size)
        whole = reply.status == _OK and len(reply.body) == blob.size
        return (blob, reply.body) if whole and "content-encoding" not in reply.headers else None

    def _put(self, blob: Descriptor, data: bytes) -> Talk[Descriptor]:
        reply = yield self._question("POST", self._session.url("blobs/uploads/"), push=True)
        if reply.status != _ACCEPTED or _is_page(reply):
            return None
        minimum = reply.headers.get("oci-chunk-min-length", "")
        location = self._target(reply.headers.get("location", ""))
        if not location:
            return None
        in_one = not (minimum or self._policy.chunk_of(blob.size))
        if in_one:
            separator = "&" if urlsplit(location).query else "?"
            url = f"{location}{separator}{urlencode({'digest': str(blob.digest)})}"
            try:
                reply = yield self._question("PUT", url, _TYPE, data, push=True)
            except LineError:
                pass
            else:
                if reply.status in (_CREATED, _NO_CONTENT) and not _is_page(reply):
                    return blob
        self._begun(blob, location, minimum, in_one)
        return None

    def _url(self, blob: Descriptor) -> str:
        return self._session.url(f"blobs/{blob.digest}")

    def _target(self, location: str) -> str:
        """Return the URL that *location* means, or nothing if that is not on the registry."""
        if not location.isascii() or not location.isprintable() or " " in location:
            return ""
        try:
            url = named(self._session.host, self._session.url("blobs/uploads/"), location)
        except RegistryError:
            return ""
        if not is_same(url, self._session.root):
            return ""
        parts = urlsplit(url)
        return f"{self._session.root}{parts.path}{'?' if parts.query else ''}{parts.query}"

    def _question(
        self,
        method: str,
        url: str,
        headers: str = "",
        body: bytes = b"",
        *,
        push: bool = False,
        most: int = limits.ERROR_BODY,
    ) -> Question:
        head = self._session.head(push=push)
        length = f"Content-Length: {len(body)}\r\n" if method in ("PUT", "POST") else ""
        target = url.removeprefix(self._session.root)
        text = f"{method} {target} HTTP/1.1\r\n{head}{headers}{length}\r\n"
        return Question(method, text.encode("ascii") + body, most)


def _is_page(reply: Reply) -> bool:
    """Tell whether that is for people; a registry says something else."""
    return "html" in reply.headers.get("content-type", "").lower()
