"""What there is: `/api/tags`, `/api/ps`, `/api/show`; and `/api/copy` and `/api/delete`."""

from __future__ import annotations

import asyncio
import math
import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from modelpack import __version__
from modelpack.errors import InputError, NotFoundError
from modelpack.ops.models import copy_name, remove
from modelpack.server.daemon.answers import json_answer, rfc3339
from modelpack.server.daemon.bodies import Bodies
from modelpack.server.daemon.catalog import Catalog
from modelpack.server.daemon.fields import Fields, parse_body
from modelpack.server.daemon.ollama.requests import name_from
from modelpack.server.daemon.ollama.showing import show
from modelpack.server.daemon.pool.pool import Pool
from modelpack.server.daemon.pool.values import Loaded
from modelpack.server.daemon.routing import Refuse, routes

_FOREVER_S = 100 * 365.25 * 86_400
"""What stands for ever, in a time."""
_NS = 1_000_000_000


class Models:
    """Tells of the models of *catalog*, and names and removes them."""

    def __init__(self, catalog: Catalog, pool: Pool, bodies: Bodies) -> None:
        self._catalog = catalog
        self._pool = pool
        self._bodies = bodies

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes(
            {
                "/": {"GET": _greet},
                "/api/version": {"GET": self._version},
                "/api/status": {"GET": _status},
                "/api/tags": {"GET": self._tags},
                "/api/ps": {"GET": self._ps},
                "/api/show": {"POST": self._show},
                "/api/copy": {"POST": self._copy},
                "/api/delete": {"DELETE": self._delete},
            },
            refuse,
        )

    async def _version(self, request: Request) -> Response:
        del request
        store = self._catalog.context.store.identity
        return json_answer({"version": __version__, "server": "modelpack", "store": store})

    async def _tags(self, request: Request) -> Response:
        del request
        found = await asyncio.to_thread(self._catalog.list)
        return json_answer(
            {
                "models": [
                    {
                        "name": one.name,
                        "model": one.name,
                        "modified_at": rfc3339(one.modified_ns),
                        "size": one.size,
                        "digest": one.digest,
                        "details": one.details,
                        "capabilities": one.capabilities,
                    }
                    for one in found
                ]
            }
        )

    async def _ps(self, request: Request) -> Response:
        del request
        there = sorted(self._pool.loaded(), key=lambda one: -one.expires_at)
        listed = [one for one in there if one.state != "loading"]
        return json_answer({"models": [await self._told(one) for one in listed]})

    async def _told(self, one: Loaded) -> dict[str, object]:
        opened = await self._catalog.opened(one.model)
        left = one.expires_at - asyncio.get_running_loop().time()
        left = _FOREVER_S if math.isinf(left) else left
        return {
            "name": opened.name,
            "model": opened.name,
            "size": one.size,
            "digest": opened.digest,
            "details": opened.details,
            "expires_at": rfc3339(time.time_ns() + int(left * _NS)),
            "size_vram": one.size_vram,
            "context_length": one.n_ctx,
        }

    async def _show(self, request: Request) -> Response:
        fields = parse_body(await self._bodies.read(request))
        name, verbose = name_from(fields), fields.flag("verbose")
        context = self._catalog.context
        try:
            said = await asyncio.to_thread(show, context, name, verbose=verbose)
        except NotFoundError:
            raise NotFoundError(f"model '{name[:200]}' not found") from None
        return json_answer(said)

    async def _copy(self, request: Request) -> Response:
        fields = parse_body(await self._bodies.read(request))
        source, destination = _both(fields)
        context = self._catalog.context
        try:
            await asyncio.to_thread(copy_name, context, source, destination)
        except NotFoundError:
            raise NotFoundError(f'model "{source[:200]}" not found') from None
        return Response()

    async def _delete(self, request: Request) -> Response:
        name = name_from(parse_body(await self._bodies.read(request)))
        try:
            entry = self._catalog.context.find(name)
            await self._pool.unload(str(entry.manifest.digest))
            await asyncio.to_thread(remove, self._catalog.context, [name])
        except NotFoundError:
            raise NotFoundError(f"model '{name[:200]}' not found") from None
        return Response()


def _both(fields: Fields) -> tuple[str, str]:
    source, destination = fields.text("source"), fields.text("destination")
    if not source or not destination:
        raise InputError("source and destination are required")
    return source, destination


async def _greet(request: Request) -> Response:
    del request
    return PlainTextResponse("Ollama is running")


async def _status(request: Request) -> Response:
    del request
    return json_answer({"cloud": {"disabled": True, "source": "none"}})
