"""What is moved twice when a transfer is killed and begun again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from _bench import Bench
from _measure import MiB
from _peers import OURS, PULLS, PUSHES
from _proxy import Counters, proxied
from _registries import check, fill
from _scenarios import reached

SHARE = 0.6
_HEADER = f"{'':16}  first MiB  second MiB  twice MiB"


def killed_pulls(bench: Bench, title: str, kinds: Sequence[str]) -> None:
    """Kill our pull of one blob, and pull again."""
    model = bench.model("one")
    print(f"\n{title} at {SHARE:.0%} of {model.size / MiB:.0f} MiB\n{_HEADER}")
    moved: dict[str, object] = {}
    bench.results[title] = moved
    for kind in kinds:
        with reached(kind, bench) as (host, _), proxied(host, bench.folder) as (far, counters):
            fill(host, model)
            to = bench.fresh("pulled")
            moved[kind] = _twice(bench, kind, PULLS[OURS](far, to), to, counters)
            shutil.rmtree(to)


def killed_pushes(bench: Bench, title: str, kinds: Sequence[str]) -> None:
    """Kill our push of one blob, and push again."""
    model = bench.stored("one")
    print(f"\n{title} at {SHARE:.0%} of {model.size / MiB:.0f} MiB\n{_HEADER}")
    moved: dict[str, object] = {}
    bench.results[title] = moved
    for kind in kinds:
        with reached(kind, bench) as (host, _), proxied(host, bench.folder) as (far, counters):
            command = PUSHES[OURS](model, far)
            moved[kind] = _twice(bench, kind, command, bench.store_of("one"), counters)
            check(host, model)


def _twice(
    bench: Bench, kind: str, command: Sequence[str], store: Path, counters: Counters
) -> dict[str, int]:
    """Run *command* until enough has moved, kill it, run it again, and say what moved."""
    total = bench.model("one").size
    environment = {**os.environ, **bench.environment(store)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        while counters.both() < SHARE * total and process.poll() is None:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    if process.returncode != -signal.SIGKILL:
        sys.exit("the client ended before it was killed")
    _settle(counters.both)
    first = counters.both()
    bench.client(command, store)
    _settle(counters.both)
    second = counters.both() - first
    twice = first + second - total
    print(f"{kind:16}  {first / MiB:9.1f}  {second / MiB:10.1f}  {twice / MiB:9.1f}")
    sys.stdout.flush()
    return {"first": first, "second": second, "twice": twice}


def _settle(count: Callable[[], int]) -> None:
    """Wait until nothing has moved for half a second."""
    before = -1
    while (now := count()) != before:
        before = now
        time.sleep(0.5)
