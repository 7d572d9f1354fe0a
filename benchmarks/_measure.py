"""Run commands as whole processes, and say how long they took and how much memory they needed."""

from __future__ import annotations

import compileall
import importlib.util
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MiB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command."""

    wall_s: float
    cpu_s: float
    peak: int
    """Largest resident set, in bytes."""


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run *command* and measure it; it must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode(errors='replace')}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


_LAUNCHER = """
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - start
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def run_apart(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run *command* as `run` does, but out of a process of 9 MiB.

    A process counts the memory of the one that it was started from to its peak.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        process_group=0,
    )
    try:
        output, errors = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode(errors='replace')}")
    wall, cpu, peak = output.split()
    return Run(float(wall), float(cpu), int(peak) * 1024)


def interleave(
    sides: Mapping[str, Callable[[], Run]], rounds: int, warmups: int = 1
) -> dict[str, list[Run]]:
    """Run all *sides* in turn, *rounds* times after *warmups* that do not count."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for number in range(warmups + rounds):
        for name, side in sides.items():
            done = side()
            if number >= warmups:
                runs[name].append(done)
            sys.stderr.write(f"  {name}: {done.wall_s:.2f} s\n")
    return runs


def median(values: Sequence[float]) -> float:
    """Return the median of *values*."""
    return statistics.median(values)


def table(runs: Mapping[str, Sequence[Run]], base: str) -> None:
    """Print medians, and the ratio of each side to *base*."""
    width = max(len(name) for name in runs)
    print(f"{'':{width}}   wall s    min    max   cpu s  peak MiB  ratio")
    whole = median([r.wall_s for r in runs[base]])
    for name, rows in runs.items():
        walls = [r.wall_s for r in rows]
        print(
            f"{name:{width}}  {median(walls):7.3f} {min(walls):6.3f} {max(walls):6.3f} "
            f"{median([r.cpu_s for r in rows]):7.3f} {max(r.peak for r in rows) / MiB:9.1f} "
            f"{median(walls) / whole:6.2f}"
        )


def warm_memory(size: int = 3 * 1024 * MiB) -> None:
    """Touch and free memory, so that a virtual machine has it when the clock runs."""
    code = f"blocks = [bytearray(b'x') * {64 * MiB} for _ in range({size // (64 * MiB)})]"
    subprocess.run([sys.executable, "-c", code], check=True)


def compile_ours() -> None:
    """Compile ModelPack's modules, as pip does when it installs them.

    Where PYTHONDONTWRITEBYTECODE is set, an editable install would do that anew each time.
    """
    found = importlib.util.find_spec("modelpack")
    assert found is not None
    assert found.origin is not None
    compileall.compile_dir(Path(found.origin).parent, quiet=1)


def limits_of_this_machine(folder: Path) -> None:
    """Print what the disk has free and how many cores there are."""
    free = shutil.disk_usage(folder).free
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    print(f"{os.cpu_count()} cores, {free / 1024 / MiB:.0f} GiB free in {folder}, {soft} files")
