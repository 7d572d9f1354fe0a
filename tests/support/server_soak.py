"""Clients that ask, stream, vanish and trickle, for more models than there is room for.

Workers are killed now and then. Everything is seen from outside, over HTTP and in `/proc`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from support.serving import ANSWER, GREEDY, QUESTION

DEADLINE_S = 120.0
OF_A_KILL = ("was killed", "crashed", "was unloaded")
"""What the requests of a worker that was killed are told."""


@dataclass
class Tally:
    """What came of everything."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    kills: int = 0
    errors: int = 0
    """Requests that were told of a kill."""
    memory: list[int] = field(default_factory=list)
    """KiB of the server, now and then."""


@dataclass
class ServerSoak:
    """*clients* ask the server at *url*, whose process is *pid*, for *models*."""

    url: str
    pid: int
    models: Sequence[str]
    clients: int = 64
    kill_every_s: float = 60.0
    tally: Tally = field(default_factory=Tally)

    def run(self, seconds: float, seed: int = 1) -> Tally:
        """Go on for *seconds*; returns when everybody has ended."""
        asyncio.run(self._all(seconds, seed))
        return self.tally

    async def _all(self, seconds: float, seed: int) -> None:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self._client(over, random.Random(seed * 1000 + number)))
            group.create_task(self._kill(over, random.Random(seed)))
            await asyncio.sleep(seconds)
            over.set()

    async def _kill(self, over: asyncio.Event, rng: random.Random) -> None:
        while not over.is_set():
            self.tally.memory.append(resident(self.pid))
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), rng.uniform(0.5, 1.5) * self.kill_every_s)
                return
            victims = sorted(workers_of(self.pid))
            if victims:
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), rng.choice((signal.SIGKILL, signal.SIGABRT)))
                self.tally.kills += 1

    async def _client(self, over: asyncio.Event, rng: random.Random) -> None:
        actions = (self._ask, self._ask, self._stream, self._vanish, self._trickle, self._embed)
        while not over.is_set():
            action = rng.choice(actions)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    said = await action(rng)
            except TimeoutError:
                self.tally.wrong.append(f"{action.__name__} hangs")
                return
            except (OSError, EOFError) as error:
                said = f"{action.__name__}: {type(error).__name__} {error}"
                self.tally.wrong.append(said)
            self.tally.ends[said] += 1

    async def _ask(self, rng: random.Random) -> str:
        status, body = await self._send("/api/chat", self._chat(rng, stream=False))
        if status == 200:
            text = json.loads(body)["message"]["content"]
            return self._judge(text == ANSWER, f"answered {text!r}", "answered")
        return self._error(body)

    async def _stream(self, rng: random.Random) -> str:
        status, body = await self._send("/api/chat", self._chat(rng, stream=True))
        lines = [json.loads(line) for line in body.splitlines()]
        if status != 200 or "error" in lines[-1]:
            return self._error(json.dumps(lines[-1]).encode())
        text = "".join(line["message"]["content"] for line in lines)
        whole = text == ANSWER and lines[-1]["done"]
        return self._judge(whole, f"streamed {text!r}", "streamed")

    async def _embed(self, rng: random.Random) -> str:
        body = {"model": rng.choice(self.models), "input": ["one", "two", "three"]}
        status, said = await self._send("/api/embed", body)
        if status != 200:
            return self._error(said)
        whole = len(json.loads(said)["embeddings"]) == 3
        return self._judge(whole, "too few vectors", "embedded")

    async def _vanish(self, rng: random.Random) -> str:
        body = self._chat(rng, stream=True)
        body["options"] = {**GREEDY, "num_predict": 400, "temperature": 2.0}
        reader, writer = await self._connect()
        try:
            writer.write(_request("/api/chat", json.dumps(body).encode()))
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(rng.uniform(0, 0.5)):
                    await reader.read(rng.randint(1, 2000))
        finally:
            writer.close()
        return "vanished"

    async def _trickle(self, rng: random.Random) -> str:
        data = _request("/api/chat", json.dumps(self._chat(rng, stream=False)).encode())
        _, writer = await self._connect()
        try:
            for at in range(0, rng.randint(1, len(data)), 40):
                writer.write(data[at : at + 40])
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            writer.close()
        return "trickled"

    def _chat(self, rng: random.Random, *, stream: bool) -> dict[str, object]:
        messages = [{"role": "user", "content": QUESTION}]
        model = rng.choice(self.models)
        return {"model": model, "messages": messages, "stream": stream, "options": GREEDY}

    def _judge(self, right: bool, complaint: str, ending: str) -> str:
        if not right:
            self.tally.wrong.append(complaint)
        return ending

    def _error(self, body: bytes) -> str:
        text = str(json.loads(body).get("error"))
        if not any(words in text for words in OF_A_KILL):
            self.tally.wrong.append(text)
        self.tally.errors += 1
        return "told of a kill"

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = urlsplit(self.url)
        return await asyncio.open_connection(place.hostname, place.port)

    async def _send(self, path: str, body: object) -> tuple[int, bytes]:
        reader, writer = await self._connect()
        try:
            writer.write(_request(path, json.dumps(body).encode()))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if b"transfer-encoding: chunked" not in head.lower():
                return status, await reader.read()
            parts = []
            while size := int(await reader.readuntil(b"\r\n"), 16):
                parts.append((await reader.readexactly(size + 2))[:-2])
            return status, b"".join(parts)
        finally:
            writer.close()


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def workers_of(parent: int) -> set[int]:
    """The workers of the process *parent*."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            words = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[1] == str(parent) and b"worker.child" in words and fields[0] != "Z":
            found.add(int(path.parent.name))
    return found


def open_files(pid: int) -> int:
    """How many files the process *pid* has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def resident(pid: int) -> int:
    """KiB of memory that the process *pid* has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


def settles(what, seconds: float = 60.0) -> bool:
    """Tell whether *what* comes to be true."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
