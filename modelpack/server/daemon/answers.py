"""Answers: JSON at once, or line by line as it comes, and what happens when the client hangs up."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import suppress
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelpack import limits

T = TypeVar("T")

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


_BREAKS = {"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"}
"""Characters that many clients take for the end of a line."""


def dumps(value: object) -> str:
    """Return *value* as JSON in one line, without spaces and with other characters as they are."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character, escaped in _BREAKS.items():
        if character in text:
            text = text.replace(character, escaped)
    return text


def json_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with *value* as JSON."""
    return Response(
        dumps(value).encode("utf-8", "replace"),
        status_code=status,
        headers=headers,
        media_type="application/json; charset=utf-8",
    )


def now() -> str:
    """Return the time as Ollama writes it: RFC 3339 with nanoseconds, UTC."""
    return rfc3339(time.time_ns())


def rfc3339(at_ns: int) -> str:
    """Return the time *at_ns* nanoseconds after 1970 as Ollama writes it."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest:09d}Z"


_last: tuple[int, str] = (0, "1970-01-01T00:00:00")


def _second(seconds: int) -> str:
    global _last  # noqa: PLW0603 - one second has many tokens
    if _last[0] != seconds:
        _last = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return _last[1]


class Hangup(Exception):  # noqa: N818 - it is no error
    """The client has gone."""


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Return what *work* returns; end it when the client hangs up.

    Raises:
        Hangup: the client has gone.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Hangup
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


DIRECTLY = "modelpack.send"
"""Where a scope has what sends the blocks of an answer that has begun, past the layers above."""


class Stream(Response):
    """An answer in *blocks*, which are closed when the client hangs up or reads nothing."""

    def __init__(
        self,
        blocks: AsyncGenerator[bytes, None],
        media_type: str,
        source: AsyncGenerator[object, None] | None = None,
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._blocks = blocks
        self._source = source
        """What the blocks are made of; a generator that never began does not close its own."""
        self._sending_since = math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the blocks as they come."""
        sending = asyncio.ensure_future(self._send(send, scope.get(DIRECTLY, send)))
        gone = asyncio.ensure_future(_gone(receive))
        watch = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait((sending, gone, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            watch.cancel()
            if not sending.done():
                sending.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await sending

    async def _send(self, send: Send, directly: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for block in self._blocks:
                self._sending_since = time.monotonic()
                await directly({"type": "http.response.body", "body": block, "more_body": True})
                self._sending_since = math.inf
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._blocks.aclose()
            if self._source is not None:
                await self._source.aclose()

    async def _watch(self) -> None:
        """Return when the client has read nothing for too long; cheaper than a timer a block."""
        while (late := time.monotonic() - self._sending_since) < limits.ANSWER_TIMEOUT_S:
            await asyncio.sleep(limits.ANSWER_TIMEOUT_S - max(late, 0.0))
