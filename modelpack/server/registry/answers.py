"""What requests and answers of several endpoints have in common: headers, bodies, pages, JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from modelpack.server import patience
from modelpack.server.registry import errors
from modelpack.server.registry.names import check_repository
from modelpack.server.registry.settings import BODY_TIMEOUT_S


def repository(request: Request) -> str:
    """Return the repository that the URL names, or refuse the request."""
    return check_repository(request.path_params["name"])


def json_answer(
    value: object, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """Answer with *value* as JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(body, headers=headers, media_type=media_type)


def refusal(error: errors.RefusedError) -> Response:
    """Answer with *error*, as the distribution specification writes errors."""
    body = json.dumps(error.to_json(), separators=(",", ":")).encode()
    return Response(
        body, status_code=error.status, headers=dict(error.headers), media_type="application/json"
    )


def content_length(request: Request) -> int | None:
    """Return the length that the request's body is said to have, if it is said."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


class Body:
    """The body of a request, as it arrives."""

    def __init__(self, request: Request) -> None:
        self._body = patience.Body(request.stream(), BODY_TIMEOUT_S, patience.SLOWEST)
        self._broken_off = False

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield it block by block; refuse a client that pauses for too long, or trickles."""
        self.check()
        try:
            async for block in self._body:
                if block:
                    yield block
                self.check()
        except TimeoutError:
            self.check()
            raise errors.too_slow() from None

    def break_off(self) -> None:
        """Refuse what has not arrived of it, now if it is being waited for."""
        self._broken_off = True
        self._body.break_off()

    def check(self) -> None:
        """Refuse the request if its body was broken off."""
        if self._broken_off:
            raise errors.superseded()


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """Return the request's body, or refuse one that is larger than *limit*."""
    if (content_length(request) or 0) > limit:
        raise errors.too_large(what, limit)
    data = bytearray()
    async for block in Body(request).blocks():
        data += block
        if len(data) > limit:
            raise errors.too_large(what, limit)
    return bytes(data)


def page(request: Request, items: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the part of the sorted *items* that `n` and `last` ask for, and the `Link` header."""
    last = request.query_params.get("last", "")
    items = [item for item in items if item > last]
    text = request.query_params.get("n")
    if text is None:
        return items, {}
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise errors.RefusedError(400, "PAGINATION_NUMBER_INVALID", "n is not a number")
    count = int(text)
    if count == 0 or count >= len(items):
        return items[:count], {}
    return items[:count], {"Link": next_link(request, n=text, last=items[count - 1])}


def next_link(request: Request, **query: str) -> str:
    """Return the `Link` header to the next page of this resource."""
    return f'<{request.url.path}?{urlencode(query)}>; rel="next"'
