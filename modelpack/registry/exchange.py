"""A request and its answer, whoever carries them: `direct`, or `transport` with oras-py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from modelpack.registry.wire import Piece


@dataclass(frozen=True, slots=True)
class Body:
    """A request body that is sent piece by piece, from its beginning whenever it is asked for."""

    pieces: Callable[[], Iterator[Piece]]
    size: int
    """Bytes of all pieces together, not 0."""

    def __iter__(self) -> Iterator[Piece]:
        return self.pieces()

    def __len__(self) -> int:
        return self.size


class Request(NamedTuple):
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    timeout_s: float
    """How long to wait for the answer, and for each part of it."""
    body: Body | bytes | None = None
    follow: bool = False
    """Whether redirects are followed."""


class Answer(Protocol):
    """What was answered, its body not read yet."""

    status_code: int
    method: str
    """That of the request."""
    url: str
    """Who answered: not the URL of the request where redirects were followed."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""
        ...

    def read(self, size: int, /) -> bytes:
        """Return what is there of the body, empty at its end; waits for the first byte only."""
        ...

    def readinto(self, room: memoryview, /) -> int:
        """Put what is there of the body into *room*; return how many bytes, 0 at its end."""
        ...

    def close(self) -> None:
        """Read no more; a connection whose answer was read to its end is used again."""
        ...
