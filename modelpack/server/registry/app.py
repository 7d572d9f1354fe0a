"""The registry as an ASGI application: the routes, and every error in the API's own form."""

from __future__ import annotations

import errno
import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelpack.server.registry import errors
from modelpack.server.registry.answers import json_answer, refusal
from modelpack.server.registry.auth import BasicAuthentication, Htpasswd
from modelpack.server.registry.blobs import BlobEndpoints
from modelpack.server.registry.manifests import ManifestEndpoints
from modelpack.server.registry.storage.blobs import Blobs
from modelpack.server.registry.storage.layout import Layout
from modelpack.server.registry.storage.manifests import Manifests
from modelpack.server.registry.storage.referrers import Referrers
from modelpack.server.registry.storage.uploads import Uploads
from modelpack.server.registry.uploads import UploadEndpoints

_log = logging.getLogger("modelpack.server.registry")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_VERSION = (b"docker-distribution-api-version", b"registry/2.0")


def build(layout: Layout, users: Htpasswd | None) -> ASGIApp:
    """Return the application that serves *layout*, to *users* only if there are some."""
    blobs, referrers = Blobs(layout), Referrers(layout)
    manifests = Manifests(layout, blobs, referrers)
    middleware = [Middleware(_ApiVersion)]
    if users is not None:
        middleware.append(Middleware(BasicAuthentication, users=users))
    app = Starlette(
        routes=[
            *BlobEndpoints(blobs).routes(),  # first what is asked for most
            Route("/v2/", _ping, methods=["GET"]),
            Route("/v2", _ping, methods=["GET"]),
            *ManifestEndpoints(manifests, referrers).routes(),
            *UploadEndpoints(Uploads(layout), blobs).routes(),
        ],
        middleware=middleware,
        exception_handlers={
            errors.RefusedError: _refused,
            HTTPException: _no_route,
            ClientDisconnect: _gone,
            OSError: _storage_failed,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    return app


class _ApiVersion:
    """Adds the header by which docker knows a registry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), _VERSION]
            await send(message)

        await self._app(scope, receive, send_with_version)


async def _ping(request: Request) -> Response:
    del request
    return json_answer({})


async def _refused(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, errors.RefusedError):
        raise error
    return refusal(error)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = (error.headers or {}) if isinstance(error, HTTPException) else {}
    code = "UNSUPPORTED" if status == 405 else "NAME_INVALID"
    message = f"{request.method} is not answered here"
    return refusal(errors.RefusedError(status, code, message, headers))


async def _gone(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=400)  # nobody reads it


async def _storage_failed(request: Request, error: Exception) -> Response:
    del request
    _log.error("the registry's folder cannot be used: %s", error)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return refusal(errors.RefusedError(507, "UNKNOWN", "the registry's disk is full"))
    return refusal(errors.RefusedError(500, "UNKNOWN", "the registry's folder cannot be used"))


async def _failed(request: Request, error: Exception) -> Response:
    del request, error
    return refusal(errors.RefusedError(500, "UNKNOWN", "the registry failed"))
