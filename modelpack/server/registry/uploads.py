"""The upload endpoints: POST, PATCH, PUT, GET and DELETE under `blobs/uploads/`, and mounts.

The body is handed to a thread in batches, one behind the one that is arriving: the event loop never
writes or hashes. What arrived before a connection broke stays, and the client may go on from there:
it need not wait until the request from before is given up (`turns`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.server.registry import errors
from modelpack.server.registry.answers import Body, content_length, repository
from modelpack.server.registry.names import (
    CANONICAL,
    ContentDigest,
    check_repository,
    check_upload,
)
from modelpack.server.registry.settings import BATCH
from modelpack.server.registry.storage.blobs import Blobs
from modelpack.server.registry.storage.uploads import Appending, Uploads
from modelpack.server.registry.turns import Turns

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/.*)?\Z")


class UploadEndpoints:
    """What answers under `/v2/<name>/blobs/uploads/`."""

    def __init__(self, uploads: Uploads, blobs: Blobs) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._turns = Turns()

    def routes(self) -> Iterable[Route]:
        """Return the routes."""
        for start in ("/v2/{name:path}/blobs/uploads/", "/v2/{name:path}/blobs/uploads"):
            yield Route(start, self.start, methods=["POST"])
        upload = "/v2/{name:path}/blobs/uploads/{upload}"
        yield Route(upload, self.status, methods=["GET"])
        yield Route(upload, self.patch, methods=["PATCH"])
        yield Route(upload, self.put, methods=["PUT"])
        yield Route(upload, self.cancel, methods=["DELETE"])

    async def start(self, request: Request) -> Response:
        """Mount a blob, or take one in a single request, or begin an upload."""
        name, query = repository(request), request.query_params
        if "mount" in query:
            digest = ContentDigest.parse(query["mount"])
            source = check_repository(query["from"]) if "from" in query else None
            if await run_in_threadpool(self._blobs.mount, name, digest, source):
                return _created(name, digest)
        whole = ContentDigest.parse(query["digest"]) if "digest" in query else None
        algorithm = query.get("digest-algorithm", whole.algorithm if whole else CANONICAL)
        upload = await run_in_threadpool(self._uploads.start, name, algorithm)
        if whole is None:
            return _accepted(202, name, upload, 0)
        try:
            return await self._complete(request, name, upload, whole)
        except BaseException:
            self._drop(name, upload)
            raise

    async def status(self, request: Request) -> Response:
        """Say how much of an upload has arrived, also while a request waits for more of it."""
        name, upload = _upload(request)
        arrived = self._turns.arrived(upload)
        size = await run_in_threadpool(self._uploads.size, name, upload)
        return _accepted(204, name, upload, max(size, arrived))

    async def patch(self, request: Request) -> Response:
        """Add the body to an upload."""
        name, upload = _upload(request)
        body = Body(request)
        async with self._turns.taken(upload, body) as turn:
            appending = turn.appending = await run_in_threadpool(self._uploads.append, name, upload)
            try:
                _check_range(request, name, upload, appending.size)
                await run_in_threadpool(appending.write, await _receive(body, appending))
            finally:
                appending.close()
        return _accepted(202, name, upload, appending.size)

    async def put(self, request: Request) -> Response:
        """Add the body, which may be empty, and make the upload a blob."""
        name, upload = _upload(request)
        digest = ContentDigest.parse(request.query_params.get("digest", ""))
        return await self._complete(request, name, upload, digest)

    async def cancel(self, request: Request) -> Response:
        """Throw an upload away."""
        name, upload = _upload(request)
        async with self._turns.taken(upload):
            await run_in_threadpool(self._uploads.cancel, name, upload)
        return Response(status_code=204)

    async def _complete(
        self, request: Request, name: str, upload: str, digest: ContentDigest
    ) -> Response:
        body = Body(request)
        async with self._turns.taken(upload, body) as turn:
            appending = turn.appending = await run_in_threadpool(self._uploads.append, name, upload)
            try:
                _check_range(request, name, upload, appending.size)
                appending.expect(digest)
                last = await _receive(body, appending)
                good = await run_in_threadpool(self._finish, appending, last, name, upload, digest)
            finally:
                appending.close()
        if not good:
            raise errors.digest_invalid(str(digest), "the content has another digest than")
        return _created(name, digest)

    def _finish(
        self,
        appending: Appending,
        last: list[bytes],
        name: str,
        upload: str,
        digest: ContentDigest,
    ) -> bool:
        """Make a blob of an upload whose *last* bytes have come, if it is what it should be."""
        good = appending.finish(last, digest)
        if good:
            self._blobs.commit(name, digest, appending.path)
        self._drop(name, upload)
        return good

    def _drop(self, name: str, upload: str) -> None:
        try:
            self._uploads.cancel(name, upload)
        except errors.RefusedError:
            return  # it has become a blob


async def _receive(body: Body, appending: Appending) -> list[bytes]:
    """Write the body but for its end, which is returned; or all that comes where it breaks off."""
    batch: list[bytes] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    try:
        async for block in body.blocks():
            batch.append(block)
            size += len(block)
            appending.arrived += len(block)
            if size >= BATCH:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(appending.write, batch))
                batch, size = [], 0
    except BaseException:
        if writing is not None:
            await writing
        await run_in_threadpool(appending.write, batch)
        raise
    if writing is not None:
        await writing
    return batch


def _upload(request: Request) -> tuple[str, str]:
    return repository(request), check_upload(request.path_params["upload"])


def _check_range(request: Request, name: str, upload: str, size: int) -> None:
    text = request.headers.get("content-range")
    if text is None:
        return
    match = _CONTENT_RANGE.match(text)
    if match is None:
        raise errors.upload_invalid(f"not a content range: {text[:100]!r}")
    first, last = int(match[1]), int(match[2])
    if first != size or last < first:
        raise errors.RefusedError(
            416,
            "BLOB_UPLOAD_INVALID",
            f"the next byte is {size}, not {first}",
            _where(name, upload, size),
        )
    length = content_length(request)
    if length is not None and length != last - first + 1:
        raise errors.RefusedError(400, "SIZE_INVALID", "content range and content length differ")


def _where(name: str, upload: str, size: int) -> dict[str, str]:
    return {
        "Location": f"/v2/{name}/blobs/uploads/{upload}",
        "Range": f"0-{max(size - 1, 0)}",
        "Docker-Upload-UUID": upload,
    }


def _accepted(status: int, name: str, upload: str, size: int) -> Response:
    return Response(status_code=status, headers=_where(name, upload, size))


def _created(name: str, digest: ContentDigest) -> Response:
    headers = {
        "Location": f"/v2/{name}/blobs/{digest}",
        "Docker-Content-Digest": str(digest),
    }
    return Response(status_code=201, headers=headers)
