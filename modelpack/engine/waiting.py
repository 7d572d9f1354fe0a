"""How the threads of a step wait for one another: in circles, or asleep where cores are taken.

They meet after every operation of llama.cpp, thousands of times a second. Whoever sleeps meanwhile
is late; whoever goes in circles keeps a core from a thread that another program has pushed off its
own, and then all stand still. So both are right, at different times, and how long threads had to
wait for a core tells which.

libgomp, which llama.cpp is built with, goes in circles for `GOMP_SPINCOUNT` rounds, and for 100 if
it has more threads than there are cores (GCC's manual of libgomp, 3.26). It counts those of all
teams: a team of bystanders, which sleep, is enough.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

SPINS = "100000"
"""Rounds in circles where each thread has a core; a millisecond or more."""
BLIND_SPINS = "1000"
"""Rounds where nobody tells how long threads wait for cores."""
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Variables of the environment by which users decide themselves."""

LOOK_S = 0.2
"""How often is looked, in seconds."""
CROWDED, CALM = 0.15, 0.05
"""Seconds that threads wait for cores, in each second, where others take them or nobody does."""
CALM_LOOKS = 5
"""Looks in a row after which bystanders leave."""
_TASKS = Path("/proc/self/task")


class Bystanders(Protocol):
    """Threads that do nothing, and make others sleep sooner by being there."""

    def come(self) -> None:
        """Be there."""

    def leave(self) -> None:
        """Be there no longer."""


class Waiting:
    """Lets *bystanders* come and leave, by how long this process waits for cores.

    Args:
        bystanders: who comes and leaves.
        delay_s: tells the seconds for which threads of this process were ready and had no core, all
            together, since it began; None where that is not known.
        clock: seconds.
    """

    def __init__(
        self,
        bystanders: Bystanders,
        delay_s: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bystanders = bystanders
        self._delay_s = delay_s
        self._clock = clock
        self._looked_s = clock()
        self._delayed_s = delay_s() or 0.0
        self._calm = 0
        self._looking = threading.Lock()
        self._crowded = False
        """Whether other programs take cores away, and bystanders are there."""

    def stepped(self) -> None:
        """Take note that a step has been computed; any thread may, and most times that is all."""
        now = self._clock()
        if now - self._looked_s >= LOOK_S and self._looking.acquire(blocking=False):
            try:
                self._look(now)
            finally:
                self._looking.release()

    def _look(self, now: float) -> None:
        delayed_s = self._delay_s()
        if delayed_s is None:
            self._looked_s = float("inf")
            return
        share = (delayed_s - self._delayed_s) / max(LOOK_S, now - self._looked_s)
        self._looked_s, self._delayed_s = now, delayed_s
        self._judge(share)

    def _judge(self, share: float) -> None:
        if share >= CROWDED:
            self._calm = 0
            if not self._crowded:
                self._crowded = True
                self._bystanders.come()
        elif self._crowded:
            self._calm = self._calm + 1 if share <= CALM else 0
            if self._calm >= CALM_LOOKS:
                self._crowded = False
                self._bystanders.leave()


def run_delay_s() -> float | None:
    """Return for how long threads of this process were ready and had no core, all together.

    None where the kernel does not say (`/proc/PID/schedstat`, Linux's scheduler/sched-stats).
    """
    waited = 0
    try:
        for task in _TASKS.iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                waited += int((task / "schedstat").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return waited / 1e9


def spins() -> str:
    """Return the value of `GOMP_SPINCOUNT` for a process that computes."""
    return BLIND_SPINS if run_delay_s() is None else SPINS


def is_ours(environment: Mapping[str, str]) -> bool:
    """Tell whether users leave it to us how threads wait."""
    said = [environment.get(name) for name in VARIABLES]
    return said in ([None, None], [SPINS, None])
