"""Threads of libgomp that do nothing, so that it counts more threads than cores.

See `modelpack.engine.waiting` for what that is good for.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from modelpack.engine.waiting import Waiting, is_ours, run_delay_s

if TYPE_CHECKING:
    from types import ModuleType


class Team:
    """Bystanders: as many as there are cores, in a team of their own.

    Args:
        parallel: `GOMP_parallel` of the libgomp that is to count them.
    """

    def __init__(self, parallel: Callable[..., None]) -> None:
        self._parallel = parallel
        self._over = threading.Event()
        self._leader: threading.Thread | None = None

    def come(self) -> None:
        """Start them; they sleep at once."""
        self._over.clear()
        self._leader = threading.Thread(target=self._lead, name="bystanders", daemon=True)
        self._leader.start()

    def leave(self) -> None:
        """Let them end: libgomp ends a team with the thread that has made it."""
        self._over.set()
        if self._leader is not None:
            self._leader.join()

    def _lead(self) -> None:
        nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        count = len(os.sched_getaffinity(0)) + 1
        self._parallel(nothing, None, ctypes.c_uint(count), ctypes.c_uint(0))
        self._over.wait()


@cache
def waiting_of(library: ModuleType) -> Waiting | None:
    """Return what looks after the threads of *library*; None where nothing can be done."""
    parallel = parallel_of(library)
    if parallel is None or not is_ours(os.environ):
        return None
    return Waiting(Team(parallel), run_delay_s)


def parallel_of(library: ModuleType) -> Callable[..., None] | None:
    """Return `GOMP_parallel` of the libgomp that *library* computes with, if it does."""
    with suppress(AttributeError):
        linked: Callable[..., None] = library.llama_cpp._lib.GOMP_parallel
        return linked
    with suppress(AttributeError, OSError):  # backends that were loaded by name
        loaded: Callable[..., None] = ctypes.CDLL("libgomp.so.1", os.RTLD_NOLOAD).GOMP_parallel
        return loaded
    return None
