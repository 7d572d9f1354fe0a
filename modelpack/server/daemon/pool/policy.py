"""Who may begin, what is loaded and what leaves. Pure: what there is and the time in, actions out.

Requests wait in one queue. One whose model is loaded in the way it wants begins when the model has
a place free. Otherwise the model is loaded, one at a time; where there are too many models, or too
little memory, the idle one that was used least recently leaves first. A request that has waited for
`PATIENCE_S` keeps later ones from the model that must become idle for it, so that a model that is
always asked for does not keep others out for ever.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

PATIENCE_S = 1.0
"""How long a request lets later ones go first."""

State: TypeAlias = Literal["loading", "ready", "leaving"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A request that waits."""

    number: int
    model: str
    """What it wants to be loaded, such as the digest of its manifest."""
    load: Hashable
    """How it wants it to be loaded."""
    size: int = 0
    """Bytes that the model takes, as far as that is known."""
    since: float
    """When it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A model that is loaded, is being loaded, or leaves."""

    number: int
    model: str
    load: Hashable
    state: State
    places: int
    """Requests that it answers at the same time."""
    users: int = 0
    """Requests that it answers now."""
    used_at: float = 0.0
    """When a request last began or ended."""
    expires_at: float = math.inf
    """When it leaves if nobody asks it any more."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if it left now."""
        return self.state == "ready" and not self.users


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for models."""

    runners: int
    """How many may be loaded."""
    free: int
    """Bytes of memory that nobody has."""


@dataclass(frozen=True, slots=True)
class Start:
    """Let the request *want* be answered by *runner*."""

    want: int
    runner: int


@dataclass(frozen=True, slots=True)
class Load:
    """Load what the request *want* wants."""

    want: int


@dataclass(frozen=True, slots=True)
class Unload:
    """Let *runner* go."""

    runner: int


Action: TypeAlias = Start | Load | Unload


def decide(
    wants: Iterable[Want], runners: Sequence[Runner], room: Room, now: float
) -> list[Action]:
    """Return what is to be done now; *wants* come in the order in which they arrived."""
    round_ = _Round({runner.number: runner for runner in runners}, room, now)
    waiting = list(wants)
    round_.expire(waiting)
    for want in waiting:
        round_.consider(want)
    return round_.actions


def next_time(wants: Iterable[Want], runners: Iterable[Runner], now: float) -> float:
    """Return when to decide again even if nothing happens; infinity for never."""
    patience = (want.since + PATIENCE_S for want in wants)
    expiry = (runner.expires_at for runner in runners if runner.is_idle)
    return min((at for at in (*patience, *expiry) if at > now), default=math.inf)


@dataclass(slots=True)
class _Round:
    """One decision, as far as it has come."""

    runners: dict[int, Runner]
    room: Room
    now: float
    actions: list[Action] = field(default_factory=list)
    started: dict[int, int] = field(default_factory=dict)
    """Requests that begin in this round, by runner."""
    left: set[int] = field(default_factory=set)
    """Runners that are told to leave in this round."""
    closed: set[int] = field(default_factory=set)
    """Runners that take nobody any more, because someone waits for them to become idle."""
    loads: bool = False
    """Whether something is told to be loaded in this round."""

    def expire(self, wants: Sequence[Want]) -> None:
        """Let go what nobody has asked for in its time."""
        wanted = {(want.model, want.load) for want in wants}
        for runner in self.runners.values():
            over = runner.is_idle and runner.expires_at <= self.now
            if over and (runner.model, runner.load) not in wanted:
                self._unload(runner)

    def consider(self, want: Want) -> None:
        """Do what can be done for *want*."""
        runner = next((r for r in self.runners.values() if r.model == want.model), None)
        if runner is None:
            self._make_room(want)
        elif runner.load != want.load:
            self._reload(want, runner)
        elif self._has_place(runner):
            self.started[runner.number] = self.started.get(runner.number, 0) + 1
            self.actions.append(Start(want.number, runner.number))

    def _has_place(self, runner: Runner) -> bool:
        users = runner.users + self.started.get(runner.number, 0)
        gone = runner.number in self.left or runner.number in self.closed
        return runner.state == "ready" and not gone and users < runner.places

    def _reload(self, want: Want, runner: Runner) -> None:
        if self._is_idle(runner):
            self._unload(runner)
        else:
            self._close(want, runner)

    def _make_room(self, want: Want) -> None:
        """Load what *want* wants, or let somebody go for it; one thing at a time."""
        moving = any(runner.state != "ready" for runner in self.runners.values())
        if moving or self.loads or self.left:
            return
        crowded = len(self.runners) >= self.room.runners or want.size > self.room.free
        if not crowded or not self.runners:
            self.loads = True
            self.actions.append(Load(want.number))
            return
        oldest = sorted(self.runners.values(), key=lambda runner: runner.used_at)
        victim = next(filter(self._is_idle, oldest), None)
        if victim is not None:
            self._unload(victim)
        else:
            self._close(want, oldest[0])

    def _is_idle(self, runner: Runner) -> bool:
        taken = runner.number in self.started or runner.number in self.left
        return runner.is_idle and not taken

    def _close(self, want: Want, runner: Runner) -> None:
        if want.since + PATIENCE_S <= self.now:
            self.closed.add(runner.number)

    def _unload(self, runner: Runner) -> None:
        self.left.add(runner.number)
        self.actions.append(Unload(runner.number))
