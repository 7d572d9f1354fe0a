"""`/api/pull`, `/api/push`, `/api/create` and `/api/blobs`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.errors import DigestError, InputError
from modelpack.oci.digest import Digest
from modelpack.ops.context import Context
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.progress import Report
from modelpack.server.daemon.answers import NDJSON, Stream, json_answer, unless_gone
from modelpack.server.daemon.bodies import Bodies, body_blocks
from modelpack.server.daemon.fields import Fields, parse_body
from modelpack.server.daemon.ollama.creating import create
from modelpack.server.daemon.ollama.progressing import Line, Work, as_lines, at_its_end, told
from modelpack.server.daemon.ollama.requests import name_from
from modelpack.server.daemon.places import Places
from modelpack.server.daemon.routing import Refuse, routes

_BATCH = 4 * 1024 * 1024
"""Bytes of an upload that a thread hashes and writes at a time."""


class Transfers:
    """Brings models into the store of *context*, and sends them out of it."""

    def __init__(self, context: Context, places: Places, bodies: Bodies) -> None:
        self._context = context
        self._places = places
        self._bodies = bodies

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes(
            {
                "/api/pull": {"POST": self._pull},
                "/api/push": {"POST": self._push},
                "/api/create": {"POST": self._create},
                "/api/blobs/{digest}": {"HEAD": self._has_blob, "POST": self._take_blob},
            },
            refuse,
        )

    async def _pull(self, request: Request) -> Response:
        fields = parse_body(await self._bodies.read(request))
        name, context = name_from(fields), self._reaching(fields)
        await self._places.check(context.remote(name).host)

        def work(report: Report) -> None:
            pull(context, name, report)

        last = ("verifying sha256 digest", "writing manifest", "success")
        return await _answer(request, fields, work, "pulling manifest", last)

    async def _push(self, request: Request) -> Response:
        fields = parse_body(await self._bodies.read(request))
        name, context = name_from(fields), self._reaching(fields)
        await self._places.check(context.remote(name).host)
        context.find(name)

        def work(report: Report) -> None:
            push(context, name, report=report)

        return await _answer(
            request, fields, work, "retrieving manifest", ("pushing manifest", "success")
        )

    async def _create(self, request: Request) -> Response:
        fields = parse_body(await self._bodies.read(request))
        name = name_from(fields)
        work = create(self._context, name, fields)
        return await _answer(request, fields, work, "parsing GGUF", ("writing manifest", "success"))

    async def _has_blob(self, request: Request) -> Response:
        path = self._context.store.path(_digest(request))
        return Response(status_code=200 if path.is_file() else 404)

    async def _take_blob(self, request: Request) -> Response:
        digest = _digest(request)
        store = self._context.store
        if store.path(digest).is_file():
            return Response(status_code=200)
        with ExitStack() as held:
            await asyncio.to_thread(held.enter_context, store.adding())
            scratch = held.enter_context(store.scratch())
            file = held.enter_context(scratch.path.open("wb", buffering=0))
            hasher = hashlib.sha256()

            def write(batch: bytes) -> None:
                hasher.update(batch)
                file.write(batch)

            async for batch in _batches(request):
                await asyncio.to_thread(write, batch)
            if hasher.hexdigest() != digest.hex:
                raise InputError(
                    f"digest mismatch, expected {digest}, got sha256:{hasher.hexdigest()}"
                )
            await asyncio.to_thread(scratch.commit, digest)
        return Response(status_code=201)

    def _reaching(self, fields: Fields) -> Context:
        """Return a context that reaches registries as *fields* say."""
        insecure = fields.flag("insecure")
        network = replace(self._context.network, insecure=insecure, avoids=self._places.avoids)
        return replace(self._context, network=network)


async def _answer(
    request: Request, fields: Fields, work: Work, first: str, last: tuple[str, ...]
) -> Response:
    lines: AsyncGenerator[Line, None] = told(work, first, last)
    if fields.flag("stream", default=True):
        return Stream(as_lines(lines), NDJSON, lines)
    return json_answer(await unless_gone(request, at_its_end(lines)))


async def _batches(request: Request) -> AsyncGenerator[bytes, None]:
    parts: list[bytes] = []
    size = 0
    async for block in body_blocks(request):
        parts.append(block)
        size += len(block)
        if size >= _BATCH:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _digest(request: Request) -> Digest:
    text = str(request.path_params["digest"])
    try:
        return Digest.parse(text.replace("sha256-", "sha256:", 1))
    except DigestError:
        raise InputError("invalid digest format") from None
