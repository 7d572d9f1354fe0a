from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelpack.engine.bystanders import Team, parallel_of
from modelpack.engine.llamacpp import library
from modelpack.engine.waiting import (
    CALM_LOOKS,
    LOOK_S,
    SPINS,
    Waiting,
    is_ours,
    run_delay_s,
    spins,
)
from modelpack.runtime.worker.spawn import worker_environment

STEP_S = 0.02


class Machine:
    """A process that steps, and does not get all the time of cores that it wants."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.delayed_s: float | None = 7.0
        self.there = False
        self.asked = 0
        self.waiting = Waiting(self, self._delay, lambda: self.now)

    def come(self) -> None:
        assert not self.there
        self.there = True

    def leave(self) -> None:
        assert self.there
        self.there = False

    def step(self, seconds: float, share: float) -> None:
        """Step for *seconds*, of which *share* are waited for cores."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            if self.delayed_s is not None:
                self.delayed_s += share * STEP_S
            self.waiting.stepped()

    def _delay(self) -> float | None:
        self.asked += 1
        return self.delayed_s


@pytest.fixture
def machine():
    made = Machine()
    made.step(1.0, 0.0)
    return made


def test_alone_threads_are_left_alone(machine):
    machine.step(60.0, 0.02)
    assert not machine.there


def test_beside_a_busy_program_they_sleep_soon(machine):
    machine.step(2 * LOOK_S, 0.7)
    assert machine.there


def test_they_go_on_sleeping_as_long_as_it_is_busy(machine):
    machine.step(60.0, 0.7)
    machine.step(60.0, 0.1)
    assert machine.there


def test_they_wait_in_circles_again_when_it_has_been_calm_for_a_while(machine):
    machine.step(1.0, 0.7)
    machine.step((CALM_LOOKS - 1) * LOOK_S, 0.0)
    assert machine.there
    machine.step(3 * LOOK_S, 0.0)
    assert not machine.there


def test_a_moment_of_calm_is_not_enough(machine):
    machine.step(1.0, 0.7)
    for _ in range(20):
        machine.step(2 * LOOK_S, 0.0)
        machine.step(2 * LOOK_S, 0.7)
        assert machine.there


def test_it_is_seldom_looked(machine):
    machine.asked = 0
    machine.step(10.0, 0.0)
    assert machine.asked <= 10.0 / LOOK_S + 1


def test_a_kernel_that_does_not_say_is_asked_once():
    machine = Machine()
    machine.delayed_s = None  # from now on
    machine.step(10.0, 0.0)
    assert machine.asked == 2  # at the beginning, too
    assert not machine.there


@pytest.mark.parametrize(
    ("environment", "ours"),
    [
        ({}, True),
        ({"GOMP_SPINCOUNT": SPINS}, True),
        ({"GOMP_SPINCOUNT": "5"}, False),
        ({"OMP_WAIT_POLICY": "passive"}, False),
        ({"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": SPINS}, False),
    ],
)
def test_users_may_decide_themselves(environment, ours):
    assert is_ours(environment) == ours


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_a_worker_has_what_the_user_has_set(monkeypatch, name):
    for each in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(each, raising=False)
    assert worker_environment()["GOMP_SPINCOUNT"] == spins()
    monkeypatch.setenv(name, "ours")
    told = worker_environment()
    assert told[name] == "ours"
    assert told.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} == {name}


CROWD = """
import hashlib, os, threading
from modelpack.engine.waiting import run_delay_s
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
work = lambda: hashlib.sha256(bytes(100_000_000)).digest()
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads[:1]]
print(run_delay_s())
"""


def test_two_threads_on_one_core_wait_for_it():
    if run_delay_s() is None:
        pytest.skip("this kernel does not say how long threads wait for cores")
    done = subprocess.run(
        [sys.executable, "-c", CROWD], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) > 0.01


def threads_of_this_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_bystanders_are_more_than_there_are_cores_and_end_when_told_to():
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    parallel = parallel_of(library())
    if parallel is None:
        pytest.skip("this llama.cpp was built without libgomp")
    before = threads_of_this_process()
    team = Team(parallel)
    for _ in range(3):
        team.come()
        expected = before + len(os.sched_getaffinity(0)) + 1
        ends = time.monotonic() + 30
        while threads_of_this_process() < expected:
            assert time.monotonic() < ends
            threading.Event().wait(0.001)
        team.leave()
        while threads_of_this_process() > before:
            assert time.monotonic() < ends
            threading.Event().wait(0.001)
