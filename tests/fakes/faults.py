"""A registry that is to misbehave, and what is said of each way in which one can.

The catalogue itself is `fakes.mishaps`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from fakes.registry import FakeRegistry
from fakes.web import Answer

from modelpack.errors import ModelPackError, NetworkError, RegistryError

ALWAYS = 1 << 30
TRIES = 3
"""Attempts at one request; what passes is over by then."""
WORTH_IT = 1_000
"""Bytes of a blob that is large enough for something to happen to it."""

Ends: TypeAlias = tuple[type[ModelPackError] | None, ...]
"""What may come of a transfer; None is that it succeeds."""


@dataclass
class Place:
    """A registry, the blobs it has or gets, and another host beside it."""

    registry: FakeRegistry
    elsewhere: FakeRegistry
    blobs: dict[str, bytes]
    """By digest."""
    over: threading.Event = field(default_factory=threading.Event)
    """Ends what waits."""
    _undo: list[tuple[object, str, object]] = field(default_factory=list)

    def one(self, rng: random.Random) -> str:
        """Choose a blob that something may happen to."""
        found = sorted(digest for digest, data in self.blobs.items() if len(data) >= WORTH_IT)
        return rng.choice(found)

    def set(self, thing: object, **values: object) -> None:
        """Set attributes of *thing* until all is well again."""
        for name, value in values.items():
            self._undo.append((thing, name, getattr(thing, name)))
            setattr(thing, name, value)

    def blob(self, rng: random.Random, answer: Answer, times: int) -> None:
        """Give *answer* to whoever wants one certain blob."""
        self.registry.instead("GET", f"/blobs/{self.one(rng)}", answer, times=times)

    def heal(self) -> None:
        """Let all be well again."""
        self.over.set()
        servers = [self.registry, self.elsewhere]
        for server in (*servers, *(s.tokens for s in servers if s.tokens)):
            server.healthy()
        for thing, name, value in reversed(self._undo):
            setattr(thing, name, value)
        self._undo.clear()


Switch: TypeAlias = Callable[[Place, random.Random, int], None]
"""Lets something go wrong that many times."""


@dataclass(frozen=True)
class Mishap:
    """One thing that goes wrong, and what may come of it where nothing else does."""

    name: str
    way: Literal["pull", "push"]
    """What the registry is being asked for."""
    switch: Switch
    ends: Ends = (None,)
    ranged: Ends = ()
    """The same for a blob that comes in ranges, where that is something else."""
    others: Ends = (None, NetworkError, RegistryError)
    """What may come of it together with others: there are only so many attempts."""
    most: int = ALWAYS
    """How often it may happen; less than `ALWAYS` is passing."""
    tokens: bool = False
    """Whether it is about a token service."""
    slow: bool = False
    """Whether only waiting shows it."""

    def __str__(self) -> str:
        return self.name

    @property
    def passing(self) -> bool:
        """Whether it is over after some attempts."""
        return self.most < ALWAYS

    def allowed(self, *, ranged: bool) -> Ends:
        """Return what may come of it."""
        return (self.ranged if ranged else ()) or self.ends

    def begin(self, place: Place, rng: random.Random) -> None:
        """Let it go wrong at *place*."""
        self.switch(place, rng, rng.randint(1, self.most) if self.passing else ALWAYS)


def passing(
    name: str,
    way: Literal["pull", "push"],
    switch: Switch,
    most: int = TRIES - 1,
    **said: Any,
) -> Mishap:
    """Return what goes wrong a few times, and must not keep anybody from succeeding."""
    return Mishap(name, way, switch, most=most, **said)
