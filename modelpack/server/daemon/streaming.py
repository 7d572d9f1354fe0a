"""An answer as it comes, block by block, in whatever form an API gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

from modelpack.errors import ModelPackError
from modelpack.server.daemon.answers import Stream, unless_gone

T = TypeVar("T")


def nothing() -> bytes:
    """Return no bytes: the beginning or the end of a form that has none."""
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[T]):
    """How an API writes what comes, and what goes wrong after the answer has begun."""

    media_type: str
    tell: Callable[[T], bytes]
    fail: Callable[[ModelPackError], bytes]
    begin: Callable[[], bytes] = nothing
    end: Callable[[], bytes] = nothing
    """Comes last, unless the answer failed."""


async def streamed(request: Request, answer: AsyncGenerator[T, None], form: Form[T]) -> Stream:
    """Return *answer* in *form* as soon as its first piece is there.

    What goes wrong before that is raised, so that it still has a status of its own.

    Raises:
        Hangup: the client has gone.
        ModelPackError: there is no answer.
    """
    first = await unless_gone(request, anext(answer))
    return Stream(_blocks(first, answer, form), form.media_type, answer)


async def _blocks(
    first: T, answer: AsyncGenerator[T, None], form: Form[T]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(answer):
        yield form.begin() + form.tell(first)
        try:
            async for piece in answer:
                yield form.tell(piece)
        except ModelPackError as error:
            yield form.fail(error)
            return
        ending = form.end()
        if ending:
            yield ending
