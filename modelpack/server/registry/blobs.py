"""The blob endpoints: HEAD, GET with a byte range, and DELETE.

One range of bytes is served; several at once, or what is no range of bytes, get the whole blob, as
RFC 9110 allows.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from modelpack.server.registry import errors
from modelpack.server.registry.answers import repository
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.settings import BLOCK, SMALL
from modelpack.server.registry.storage.blobs import Blobs
from modelpack.server.registry.zerocopy import ZERO_COPY

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


class BlobEndpoints:
    """What answers at `/v2/<name>/blobs/<digest>`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def routes(self) -> Iterable[Route]:
        """Return the routes."""
        blob = "/v2/{name:path}/blobs/{digest}"
        yield Route(blob, self.get, methods=["GET", "HEAD"])
        yield Route(blob, self.delete, methods=["DELETE"])

    async def get(self, request: Request) -> Response:
        """Send a blob or a part of it."""
        name, digest = repository(request), ContentDigest.parse(request.path_params["digest"])
        content = None
        # Whether it is there is seen here: to hand that to a thread takes longer than to look.
        if request.method == "GET":
            size, content = self._blobs.read(name, digest, SMALL)
        else:
            self._blobs.size(name, digest)
            size = await run_in_threadpool(self._asked, name, digest)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": str(digest),
            "ETag": f'"{digest}"',
        }
        start, stop, status = 0, size, 200
        wanted = request.headers.get("range")
        if wanted and request.headers.get("if-range") in (None, headers["ETag"]):
            part = choose_range(wanted, size)
            if part is not None:
                (start, stop), status = part, 206
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["Content-Length"] = str(stop - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        if content is not None:
            return Response(content[start:stop], status, headers)
        return _FilePart(self._blobs.path(digest), start, stop, status, headers)

    async def delete(self, request: Request) -> Response:
        """Take a blob from a repository."""
        name, digest = repository(request), ContentDigest.parse(request.path_params["digest"])
        await run_in_threadpool(self._blobs.delete, name, digest)
        return Response(status_code=202)

    def _asked(self, name: str, digest: ContentDigest) -> int:
        self._blobs.keep(name, digest)  # a push that finds it here will not send it
        return self._blobs.size(name, digest)


def choose_range(text: str, size: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of what the `Range` header *text* asks of *size* bytes.

    What is no single range of bytes gives None; what lies outside is refused with 416.
    """
    match = _RANGE.match(text)
    if match is None or (not match[1] and not match[2]):
        return None
    if match[1]:
        start = int(match[1])
        stop = min(int(match[2]) + 1, size) if match[2] else size
    else:
        start, stop = max(size - int(match[2]), 0), size
    if start >= stop:
        raise errors.RefusedError(
            416, "SIZE_INVALID", "no such bytes in the blob", {"Content-Range": f"bytes */{size}"}
        )
    return start, stop


class _FilePart(Response):
    """Bytes of a file: the kernel sends them where it can.

    Otherwise a thread reads them while those before them are on their way.
    """

    def __init__(
        self, path: Path, start: int, stop: int, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self._path = path
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            file = self._path.open("rb", buffering=0)
        except FileNotFoundError:  # deleted since it was found
            raise errors.blob_unknown(self._path.parent.name) from None
        head = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        with file:
            await send(head)
            if ZERO_COPY in scope.get("extensions", ()):
                count = self._stop - self._start
                part = {"type": ZERO_COPY, "file": file, "offset": self._start, "count": count}
                await send(part)
                return
            gone = asyncio.ensure_future(_until_gone(receive))
            try:
                await self._send_blocks(file.fileno(), send, gone)
            finally:
                gone.cancel()

    async def _send_blocks(self, file: int, send: Send, gone: asyncio.Future[None]) -> None:
        position = self._start
        while position < self._stop and not gone.done():
            wanted = min(BLOCK, self._stop - position)
            block = await run_in_threadpool(os.pread, file, wanted, position)
            if not block:
                break  # the file was cut short; the server then drops the connection
            position += len(block)
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
