"""Requests that take long before they can begin, beside those that do not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from modelpack.runtime.ask import Ask, AskScores, AskText, AskTokens, AskVectors

if TYPE_CHECKING:
    from modelpack.runtime.ask import Wish


LONG = 64 * 1024
"""Characters that take longer to become tokens than others should wait."""
THREADS = 16
"""Requests that begin beside others at a time; the engine's own bound says how many compile."""


def is_slow(wish: Wish) -> bool:
    """Tell whether *wish* has images to look at, a template of its own or a grammar to compile."""
    if not isinstance(wish, Ask | AskTokens):
        return False
    if wish.template is not None or any(message.images for message in wish.messages):
        return True
    return isinstance(wish, Ask) and bool(wish.format or wish.grammar or wish.tool_choice)


def is_long(wish: Wish) -> bool:
    """Tell whether *wish* has much text; its tokens may take ten times its memory meanwhile."""
    if isinstance(wish, AskVectors):
        return _length(wish.texts) > LONG
    if isinstance(wish, AskScores):
        return _length([wish.query, *wish.documents]) > LONG
    if isinstance(wish, AskText):
        return False
    return _length([wish.raw, *(message.content for message in wish.messages)]) > LONG


def _length(texts: Iterable[object]) -> int:
    """Return how long *texts* are together; what is none is refused elsewhere."""
    return sum(len(text) for text in texts if isinstance(text, str))


class Aside:
    """Threads that hand requests to *begin*, so that none waits for another that takes longer.

    There are up to *threads*. What *begin* gets besides tells, once, whether the request is still
    wanted; from then on it cannot be given up here.
    """

    def __init__(
        self, begin: Callable[[Wish, Callable[[], bool]], None], *, threads: int = THREADS
    ) -> None:
        self._begin = begin
        self._most = threads
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._wishes: SimpleQueue[Wish] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        """Requests that a thread has or will have."""

    def put(self, wish: Wish) -> None:
        """Let *wish* begin as soon as a thread is free."""
        with self._lock:
            self._waiting.add(wish.number)
            self._busy += 1
            more = self._threads < min(self._busy, self._most)
            self._threads += more
        self._wishes.put(wish)
        if more:
            threading.Thread(target=self._run, name="aside", daemon=True).start()

    def cancel(self, number: int) -> bool:
        """Let go of the request *number*; return whether it was here."""
        with self._lock:
            known = number in self._waiting
            self._waiting.discard(number)
            return known

    def _run(self) -> None:
        while True:
            wish = self._wishes.get()
            with self._lock:
                wanted = wish.number in self._waiting
            if wanted:
                self._begin(wish, partial(self.cancel, wish.number))
            with self._lock:
                self._busy -= 1
