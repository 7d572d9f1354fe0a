"""Several answers to one request, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import TypeAlias

from modelpack.server.daemon.speaking import Replies

Answer: TypeAlias = AsyncGenerator[Replies, None]


async def together(answers: Sequence[Answer]) -> AsyncGenerator[tuple[int, Replies], None]:
    """Yield what comes of each of *answers* with its number; the first failure ends them all."""
    if len(answers) == 1:
        async with aclosing(answers[0]) as answer:
            async for replies in answer:
                yield 0, replies
        return
    queue: asyncio.Queue[tuple[int, Replies | BaseException | None]] = asyncio.Queue()
    tasks = [asyncio.ensure_future(_feed(queue, *pair)) for pair in enumerate(answers)]
    try:
        left = len(tasks)
        while left:
            index, said = await queue.get()
            if said is None:
                left -= 1
            elif isinstance(said, BaseException):
                raise said
            else:
                yield index, said
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _feed(
    queue: asyncio.Queue[tuple[int, Replies | BaseException | None]], index: int, answer: Answer
) -> None:
    async with aclosing(answer):
        try:
            async for replies in answer:
                queue.put_nowait((index, replies))
        except Exception as error:  # noqa: BLE001 - told to whoever reads the queue
            queue.put_nowait((index, error))
            return
    queue.put_nowait((index, None))


async def gathered(answers: Sequence[Answer]) -> list[list[Replies]]:
    """Return all that comes of each of *answers*."""
    found: list[list[Replies]] = [[] for _ in answers]
    async with aclosing(together(answers)) as said:
        async for index, replies in said:
            found[index].append(replies)
    return found
