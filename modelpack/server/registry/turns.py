"""Turns at an upload: one request at a time adds to it, and the newest is the one that counts.

A client whose connection broke comes again, while the request from before may wait for the rest of
its body for long. That one is broken off; what it has received counts, and the new one goes on
behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from modelpack.server.registry.answers import Body
from modelpack.server.registry.storage.uploads import Appending


class Turn:
    """Whose turn it is with one upload."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.newest: Body | None = None
        self.appending: Appending | None = None
        """What the request whose turn it is adds to."""


class Turns:
    """The turns at all uploads that requests are about."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, upload: str, body: Body | None = None) -> AsyncIterator[Turn]:
        """Hold the turn at *upload* for a request with *body*, in place of those before it.

        A request that has received all of its body is waited for. Refuses the request if another
        one comes while it waits.
        """
        turn = self._turns.setdefault(upload, Turn())
        if turn.newest is not None:
            turn.newest.break_off()
        turn.newest = body
        async with turn.lock:
            if body is not None:
                body.check()
            try:
                yield turn
            finally:
                turn.appending = None

    def arrived(self, upload: str) -> int:
        """Return how far the request whose turn it is has come; 0 if nobody adds to *upload*."""
        turn = self._turns.get(upload)
        return 0 if turn is None or turn.appending is None else turn.appending.arrived
