"""Bodies of requests: bounded in bytes, in time, and in how much of them is in memory at a time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from starlette.requests import Request

from modelpack import limits
from modelpack.server import patience
from modelpack.server.daemon.failures import RefusedError

_log = logging.getLogger("modelpack.server")
_LOGGED = 64 * 1024
"""Bytes of a body that are logged, where its user's words are."""


class Bodies:
    """Reads bodies; those that are read at the same time share *room* bytes.

    They are logged only where that is asked for (*logs*): users have written them.
    """

    def __init__(self, room: int = limits.REQUEST_BODIES, *, logs: bool = False) -> None:
        self._room = room
        self._logs = logs

    async def read(self, request: Request, limit: int = limits.REQUEST_BODY) -> bytes:
        """Return the body of *request*, at most *limit* bytes."""
        said = content_length(request)
        if said is not None and said > limit:
            raise _too_large(limit)
        taken = 0
        parts: list[bytes] = []
        try:
            async for block in body_blocks(request):
                taken += len(block)
                self._room -= len(block)
                if taken > limit:
                    raise _too_large(limit)
                if self._room < 0:
                    raise RefusedError(503, "too many large requests at the same time")
                parts.append(block)
            body = b"".join(parts)
            if self._logs:
                what = {"id": request.scope.get("request_id"), "body": _shown(body)}
                _log.info("body", extra={"said": what})
            return body
        finally:
            self._room += taken


def _shown(body: bytes) -> str:
    more = "…" if len(body) > _LOGGED else ""
    return body[:_LOGGED].decode("utf-8", "replace") + more


async def body_blocks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body of *request* as it comes; refuse a client that trickles."""
    body = patience.Body(request.stream(), limits.BODY_TIMEOUT_S, limits.SLOWEST_BODY)
    try:
        async for block in body:
            yield block
    except TimeoutError:
        raise RefusedError(408, "the request body did not come in time") from None


def content_length(request: Request) -> int | None:
    """Return the length that the body is said to have, if it is said."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the request body is larger than {limit:,} bytes")
