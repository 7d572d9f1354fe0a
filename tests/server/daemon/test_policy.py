"""Who begins, what is loaded and what leaves: decided with values, and simulated with a clock."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from modelpack.server.daemon.pool.policy import (
    PATIENCE_S,
    Load,
    Room,
    Runner,
    Start,
    Unload,
    Want,
    decide,
    next_time,
)

ROOMY = Room(runners=3, free=10**12)


def want(number: int, model: str = "a", load: str = "x", **more: float) -> Want:
    return Want(number=number, model=model, load=load, **{"since": 0.0, **more})


def runner(number: int, model: str = "a", load: str = "x", **more: object) -> Runner:
    return Runner(
        **{"number": number, "model": model, "load": load, "state": "ready", "places": 2, **more}
    )


def test_a_model_that_is_not_there_is_loaded():
    assert decide([want(1)], [], ROOMY, 0) == [Load(1)]


def test_requests_share_one_loading():
    loading = runner(9, state="loading")
    assert decide([want(1), want(2)], [loading], ROOMY, 0) == []
    assert decide([want(1), want(2)], [], ROOMY, 0) == [Load(1)]


def test_requests_begin_in_order_while_there_are_places():
    found = decide([want(1), want(2), want(3)], [runner(9)], ROOMY, 0)
    assert found == [Start(1, 9), Start(2, 9)]


def test_models_are_loaded_one_after_the_other():
    assert decide([want(1, "a"), want(2, "b")], [], ROOMY, 0) == [Load(1)]
    assert decide([want(2, "b")], [runner(9, "a", state="loading")], ROOMY, 0) == []


def test_the_idle_model_that_was_used_least_recently_leaves_for_another():
    there = [
        runner(1, "a", used_at=5),
        runner(2, "b", used_at=3),
        runner(3, "c", used_at=4, users=1),
    ]
    assert decide([want(7, "d")], there, ROOMY, 6) == [Unload(2)]
    leaving = [there[0], replace(there[1], state="leaving"), there[2]]
    assert decide([want(7, "d")], leaving, ROOMY, 6) == []
    assert decide([want(7, "d")], [there[0], there[2]], ROOMY, 6) == [Load(7)]


def test_memory_is_made_where_it_is_short():
    tight = Room(runners=3, free=100)
    assert decide([want(7, "b", size=200)], [runner(1, "a")], tight, 0) == [Unload(1)]
    assert decide([want(7, "b", size=200)], [runner(1, "a", users=1)], tight, 0) == []
    assert decide([want(7, "b", size=200)], [], tight, 0) == [Load(7)]  # it is told why it fails


def test_other_options_load_the_model_again_when_nobody_uses_it():
    assert decide([want(1, load="y")], [runner(9, users=1)], ROOMY, 0) == []
    assert decide([want(1, load="y")], [runner(9)], ROOMY, 0) == [Unload(9)]


def test_a_model_leaves_when_its_time_is_over_unless_it_is_wanted():
    idle = runner(9, expires_at=5.0)
    assert decide([], [idle], ROOMY, 4.9) == []
    assert decide([], [idle], ROOMY, 5.0) == [Unload(9)]
    assert decide([want(1)], [idle], ROOMY, 5.0) == [Start(1, 9)]
    assert decide([], [replace(idle, users=1)], ROOMY, 5.0) == []


def test_a_busy_model_is_closed_for_later_requests_once_patience_is_over():
    busy = [runner(1, "a", users=1)]
    one = Room(runners=1, free=10**12)
    wants = [want(1, "b", since=0.0), want(2, "a", since=0.5)]
    assert decide(wants, busy, one, PATIENCE_S / 2) == [Start(2, 1)]
    assert decide(wants, busy, one, PATIENCE_S) == []
    assert next_time(wants[:1], busy, 0.0) == PATIENCE_S


def test_the_next_time_is_when_something_expires():
    assert next_time([], [], 0.0) == math.inf
    assert (
        next_time([], [runner(1, expires_at=7.0), runner(2, users=1, expires_at=1.0)], 0.0) == 7.0
    )


class World:
    """Carries out what is decided, with a clock of its own."""

    def __init__(self, seed: int, room: Room, sizes: dict[str, int]) -> None:
        self.random = random.Random(seed)
        self.room, self.sizes = room, sizes
        self.now, self.numbers = 0.0, 0
        self.wants: list[Want] = []
        self.runners: dict[int, Runner] = {}
        self.events: list[tuple[float, int, str, int]] = []
        self.waits: list[tuple[str, float]] = []
        """What was asked for, and how long that took to begin."""

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def later(self, seconds: float, what: str, which: int) -> None:
        self.events.append((self.now + seconds, self.number(), what, which))

    def free(self) -> int:
        return self.room.free - sum(self.sizes[r.model] for r in self.runners.values())

    def turn(self) -> None:
        there = list(self.runners.values())
        room = Room(self.room.runners, self.free())
        for action in decide(self.wants, there, room, self.now):
            if isinstance(action, Start):
                (one,) = [w for w in self.wants if w.number == action.want]
                self.wants.remove(one)
                runner = self.runners[action.runner]
                assert (runner.state, runner.model, runner.load) == ("ready", one.model, one.load)
                assert runner.users < runner.places
                self.runners[action.runner] = replace(
                    runner, users=runner.users + 1, used_at=self.now
                )
                self.waits.append((one.model, self.now - one.since))
                self.later(self.random.uniform(0.1, 2.0), "ended", action.runner)
            elif isinstance(action, Load):
                (one,) = [w for w in self.wants if w.number == action.want]
                assert all(r.state == "ready" for r in self.runners.values())
                assert len(self.runners) < self.room.runners
                assert not self.runners or self.sizes[one.model] <= self.free()
                number = self.number()
                self.runners[number] = Runner(
                    number=number, model=one.model, load=one.load, state="loading", places=2
                )
                self.later(self.random.uniform(0.1, 1.0), "loaded", number)
            else:
                runner = self.runners[action.runner]
                assert runner.is_idle
                self.runners[action.runner] = replace(runner, state="leaving")
                self.later(0.1, "left", action.runner)

    def happen(self, what: str, which: int) -> None:
        if what == "left":
            del self.runners[which]
            return
        runner = self.runners[which]
        expires_at = self.now + 3.0
        if what == "loaded":
            self.runners[which] = replace(runner, state="ready", expires_at=expires_at)
        else:
            self.runners[which] = replace(
                runner, users=runner.users - 1, used_at=self.now, expires_at=expires_at
            )

    def run(self, arrivals: list[tuple[float, str, str]]) -> None:
        pending = sorted(arrivals)
        for _ in range(100_000):
            self.turn()
            times = [at for at, *_ in pending[:1]] + [at for at, *_ in self.events]
            times.append(next_time(self.wants, self.runners.values(), self.now))
            at = min(times)
            if at == math.inf:
                return
            self.now = at
            while pending and pending[0][0] <= at:
                _, model, load = pending.pop(0)
                self.wants.append(
                    want(self.number(), model, load, since=at, size=self.sizes[model])
                )
            for event in sorted(e for e in self.events if e[0] <= at):
                self.events.remove(event)
                self.happen(event[2], event[3])
        raise AssertionError("it never came to an end")


@pytest.mark.parametrize("seed", range(40))
def test_everybody_is_served_in_the_end_and_nobody_waits_for_ever(seed):
    rng = random.Random(seed)
    sizes = {model: rng.randint(1, 60) for model in "abcde"}
    world = World(seed, Room(rng.randint(1, 3), 100), sizes)
    arrivals = [
        (rng.uniform(0, 60), rng.choice("aaaaabcde"), rng.choice("xxxxy")) for _ in range(150)
    ]
    world.run(arrivals)
    assert len(world.waits) == len(arrivals)
    assert not world.wants
    assert not world.runners  # their time is over


def test_a_model_that_is_always_asked_for_does_not_keep_others_out():
    world = World(1, Room(1, 100), {"a": 1, "b": 1})
    arrivals = [(at * 0.4, "a", "x") for at in range(150)]
    world.run([*arrivals, (5.0, "b", "x")])
    assert len(world.waits) == len(arrivals) + 1
    ((_, waited),) = [wait for wait in world.waits if wait[0] == "b"]
    assert waited < PATIENCE_S + 4.0  # those that had begun end, one model leaves, another comes
