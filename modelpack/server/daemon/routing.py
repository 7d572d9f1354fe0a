"""Routes whose errors are told as the API that they belong to tells them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.server.daemon.answers import Hangup

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
Refuse: TypeAlias = Callable[[Exception], Response]
"""Makes the answer that tells an error."""


def routes(handlers: Mapping[str, Mapping[str, Handler]], refuse: Refuse) -> list[Route]:
    """Return a route for each path and method of *handlers*."""
    return [
        Route(path, _guarded(handler, refuse), methods=[method])
        for path, methods in handlers.items()
        for method, handler in methods.items()
    ]


def _guarded(handler: Handler, refuse: Refuse) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (Hangup, ClientDisconnect):
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # noqa: BLE001 - each API has its own form of errors
            return refuse(error)

    return answer
