"""Clients that ask for chat completions at the same time, as cheaply as Python can.

Each keeps one connection and asks again when its answer has ended. Tokens are what the server says
that it wrote; the first one is there when the first event with text is.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Told:
    """What the clients saw."""

    tokens: int = 0
    wall_s: float = 0.0
    first_s: list[float] = field(default_factory=list)
    """Seconds from each request to its first text."""

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.wall_s

    def first(self, part: float) -> float:
        """Return the first token's time that *part* of the requests did not exceed."""
        return sorted(self.first_s)[min(len(self.first_s) - 1, int(part * len(self.first_s)))]


_asked = itertools.count()


def ask(
    url: str, model: str, *, clients: int, each: int, tokens: int, banned: Sequence[int]
) -> Told:
    """Have *clients* ask *each* times for *tokens* tokens, never one of *banned*.

    No prompt comes twice, here or in another call.
    """
    told = Told()
    asyncio.run(_all(url, model, told, (clients, each, tokens), banned))
    return told


async def _all(
    url: str, model: str, told: Told, counts: tuple[int, int, int], banned: Sequence[int]
) -> None:
    clients, each, tokens = counts
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            bodies = [_body(model, f"{next(_asked)} " * 16, tokens, banned) for _ in range(each)]
            group.create_task(_client(url, bodies, told))
    told.wall_s = time.perf_counter() - began


def _body(model: str, text: str, tokens: int, banned: Sequence[int]) -> bytes:
    return json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": tokens,
            "temperature": 0.8,
            "top_p": 0.9,
            "top_k": 40,
            "min_p": 0.0,
            "seed": 1,
            "logit_bias": {str(token): -100 for token in banned},
        }
    ).encode()


async def _client(url: str, bodies: Sequence[bytes], told: Told) -> None:
    place = urlsplit(url)
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    for body in bodies:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        while True:
            fresh = streams is None
            streams = streams or await asyncio.open_connection(
                place.hostname, place.port, limit=2**20
            )
            reader, writer = streams
            try:
                writer.write(head.encode() + body)
                status = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                if fresh:
                    raise
                writer.close()
                streams = None  # the server does not keep connections
                continue
            break
        assert b" 200 " in status.split(b"\r\n")[0], status
        first, last = await _answer(reader)
        told.first_s.append(first - began)
        told.tokens += _tokens(last)
    if streams is not None:
        streams[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[float, bytes]:
    """Return when the first text came, and the block that tells how many tokens there were."""
    first, last = 0.0, b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        block = await reader.readexactly(size + 2)
        if not size:
            return first or time.perf_counter(), last
        if not first and block.count(b'"content":"') > block.count(b'"content":""'):
            first = time.perf_counter()
        if b'"completion_tokens"' in block:
            last = block


def _tokens(block: bytes) -> int:
    for line in block.split(b"\n"):
        if line.startswith(b"data: {") and b'"completion_tokens"' in line:
            usage = json.loads(line[6:]).get("usage")
            if usage:
                return int(usage["completion_tokens"])
    return 0
