"""Short conversations with one server, many at once and all on one thread.

What a small blob costs is the wait for answers, so several connections have a question under way.
Only what goes as it should is done here. Whatever is odd (an answer that is not plainly framed, a
connection that breaks or trickles) ends the conversation, and whoever began it asks again through
`session`, which knows about redirects, challenges and trying again.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from modelpack import limits
from modelpack.content.pool import Pool
from modelpack.registry.heads import END, NO_BODY, LineError, is_last, length_of, parse_head

_TICK_MS = 1000

T = TypeVar("T")


class Question(NamedTuple):
    """A request."""

    method: str
    message: bytes
    """All of it: request line, headers, body."""
    most: int = limits.ERROR_BODY
    """Bytes of the answer's body that are read at most."""


class Reply(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


Talk: TypeAlias = Generator[Question, Reply, T | None]
"""A conversation: yields questions, is sent replies, returns what came of it or None if nothing."""


class Line:
    """One connection; has one question under way at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.settimeout(limits.READ_TIMEOUT_S)
        self._came = bytearray()
        self._head: tuple[int, dict[str, str], int] | None = None
        self._question = Question("", b"")
        self.asked_at = 0.0
        self.is_last = False
        """Whether the server closes the connection now."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._sock.fileno()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def ask(self, question: Question) -> None:
        """Send *question*."""
        if self.is_last:
            raise LineError("the server hung up")
        self._question = question
        self.asked_at = time.monotonic()
        try:
            self._sock.sendall(question.message)
        except OSError as error:
            raise LineError(str(error)) from None

    def hear(self) -> Reply | None:
        """Take in what has come; return the reply once all of it is there."""
        try:
            data = self._sock.recv(limits.BLOCK)
        except OSError as error:
            raise LineError(str(error)) from None
        if not data:
            raise LineError("the server hung up")
        self._came += data
        if self._head is None:
            self._read_head()
        if self._head is None:
            return None
        status, headers, length = self._head
        if len(self._came) < length:
            return None
        if len(self._came) > length:
            raise LineError("more came than was announced")
        reply = Reply(status, headers, bytes(self._came))
        self._came.clear()
        self._head = None
        return reply

    def _read_head(self) -> None:
        end = self._came.find(END)
        if end < 0:
            if len(self._came) > limits.ANSWER_HEAD:
                raise LineError("the headers do not end")
            return
        status, headers = parse_head(self._came[:end].decode("latin-1"))
        del self._came[: end + len(END)]
        self.is_last = is_last(headers)
        bodiless = self._question.method == "HEAD" or status in NO_BODY
        self._head = (status, headers, 0 if bodiless else length_of(headers, self._question.most))


class Lines:
    """The connections that *connect* makes; they stay open until `close`. For one thread."""

    def __init__(self, connect: Callable[[], Line]) -> None:
        self._connect = connect
        self._idle: list[Line] = []

    def close(self) -> None:
        """Hang up everywhere."""
        while self._idle:
            self._idle.pop().close()

    def hold(self, talks: Iterable[Talk[T]], width: int) -> Iterator[T]:
        """Hold *talks*, *width* of them at a time, and yield what comes of those that end well.

        Where too many do not, the others are not begun.
        """
        waiting = iter(talks)
        first = list(islice(waiting, width))
        self._open(len(first))
        round_ = _Round(self._idle, _chained(first, waiting))
        try:
            yield from round_.run()
        finally:
            round_.end()

    def _open(self, wanted: int) -> None:
        missing = wanted - len(self._idle)
        if missing <= 0:
            return
        with Pool(missing, "connect") as pool:
            for _ in range(missing):
                pool.submit(self._try)

    def _try(self) -> None:
        with suppress(LineError):
            self._idle.append(self._connect())


class _Round(Generic[T]):
    """*talks* on the lines of *idle*, which get back there in the end."""

    def __init__(self, idle: list[Line], talks: Iterator[Talk[T]]) -> None:
        self._idle = idle
        self._talks = talks
        self._busy: dict[int, tuple[Line, Talk[T]]] = {}
        self._poll = select.poll()
        self._found: deque[T] = deque()
        self._trouble = 0

    def run(self) -> Iterator[T]:
        """Yield what comes of them."""
        self._begin()
        looked_at = time.monotonic()
        while self._busy:
            for number, _ in self._poll.poll(_TICK_MS):
                self._listen(*self._busy[number])
            now = time.monotonic()
            if now - looked_at > _TICK_MS / 1000:
                looked_at = now
                for line, talk in list(self._busy.values()):
                    if now - line.asked_at > limits.READ_TIMEOUT_S:
                        self._break(line, talk)
            self._begin()
            while self._found:
                yield self._found.popleft()

    def end(self) -> None:
        """Hang up where an answer is still under way."""
        for line, talk in list(self._busy.values()):
            self._drop(line)
            talk.close()

    def _begin(self) -> None:
        while self._idle and self._trouble < limits.LINES_TROUBLE:
            talk = next(self._talks, None)
            if talk is None:
                return
            line = self._idle.pop()
            self._busy[line.fileno()] = (line, talk)
            self._poll.register(line, select.POLLIN)
            self._go_on(line, talk, lambda talk=talk: next(talk))  # type: ignore[misc]

    def _listen(self, line: Line, talk: Talk[T]) -> None:
        try:
            reply = line.hear()
        except LineError:
            self._break(line, talk)
            return
        if reply is not None:
            self._go_on(line, talk, lambda: talk.send(reply))

    def _go_on(self, line: Line, talk: Talk[T], step: Callable[[], Question]) -> None:
        try:
            question = step()
        except StopIteration as end:
            self._note(end.value)
            if line.is_last:
                self._drop(line)
            else:
                self._poll.unregister(line)
                del self._busy[line.fileno()]
                self._idle.append(line)
            return
        try:
            line.ask(question)
        except LineError:
            self._break(line, talk)

    def _break(self, line: Line, talk: Talk[T]) -> None:
        self._drop(line)
        try:
            talk.throw(LineError())
        except StopIteration as end:
            self._note(end.value)
        except LineError:
            self._note(None)
        else:
            talk.close()

    def _drop(self, line: Line) -> None:
        self._poll.unregister(line)
        del self._busy[line.fileno()]
        line.close()

    def _note(self, result: T | None) -> None:
        if result is None:
            self._trouble += 1
        else:
            self._found.append(result)


def _chained(first: list[Talk[T]], rest: Iterator[Talk[T]]) -> Iterator[Talk[T]]:
    yield from first
    yield from rest
