"""How many threads are worth starting: physical cores that this process may use.

Two threads on one core compute no faster than one, and a container may have less of the machine
than the machine has.
"""

from __future__ import annotations

import os
from pathlib import Path

_SYSTEM = Path("/sys")


def count_cores(system: Path = _SYSTEM) -> int:
    """Return the number of physical cores for this process, at least 1."""
    usable = _usable()
    cores = {_siblings(system, cpu) for cpu in usable}
    return max(1, min(len(cores), _quota(system, len(usable))))


def _usable() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _siblings(system: Path, cpu: int) -> str:
    path = system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        return path.read_text()
    except OSError:
        return f"{cpu}"


def _quota(system: Path, default: int) -> int:
    """Return the processors that a control group leaves us, rounded up."""
    try:
        quota, period = (system / "fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no group, or "max"
        return default
