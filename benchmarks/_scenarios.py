"""Pulling, pushing and copying with every client."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import _floor
from _bench import FLOOR, Bench, Side, size_of
from _measure import Run
from _model import Model
from _peers import COPIES, OURS, PULLS, PUSHES, program_of
from _proxy import proxied
from _registries import check, fill, serving
from _sink import counted, sink


@contextmanager
def reached(kind: str, bench: Bench, delay: float = 0.0) -> Iterator[tuple[str, str]]:
    """Run a registry; gives its `host:port`, and the one for clients, which may be far away."""
    with serving(kind, bench.fresh("registry") / "root") as host:
        if not delay:
            yield host, host
            return
        with proxied(host, bench.folder, delay) as (far, _):
            yield host, far


def pulls(bench: Bench, title: str, shape: str, kinds: Sequence[str], delay: float = 0.0) -> None:
    """Pull the model of *shape* into an empty folder."""
    model = bench.model(shape)
    for kind in kinds:
        with reached(kind, bench, delay) as (host, far):
            fill(host, model)
            sides = {FLOOR: _pull(bench, model, lambda to, far=far: _floor.pull(model, far, to))}
            for name, command in bench.taking_part(PULLS).items():
                sides[name] = _pull(bench, model, lambda to, c=command, far=far: c(far, to))
                if bench.durable and program_of(name) != OURS:
                    sides[f"{name} + sync"] = _pull(
                        bench, model, lambda to, c=command, far=far: _durable(c(far, to), to)
                    )
            bench.measure(f"{title}, {kind}", sides)


def _pull(bench: Bench, model: Model, command: Callable[[Path], list[str]]) -> Side:
    def side() -> Run:
        to = bench.fresh("pulled")
        done = bench.timed(command(to), to, model.size)
        got = size_of(to)
        bench.put_away(to)
        if got < sum(blob.size for blob in model.layers):
            sys.exit(f"only {got:,} bytes have come")
        return done

    return side


def _durable(command: list[str], to: Path) -> list[str]:
    """Return *command* with a wait until what it wrote to *to* is on the disk."""
    return ["sh", "-c", '"$@" && sync -f "$0"', str(to), *command]


def pulls_again(bench: Bench, title: str, kinds: Sequence[str]) -> None:
    """Pull the model of four blobs into a folder that has it."""
    model = bench.model("four")
    for kind in kinds:
        with reached(kind, bench) as (host, _):
            fill(host, model)
            sides = {FLOOR: _again(bench, _floor.ask(host), bench.home)}
            for name, command in bench.taking_part(PULLS).items():
                to = bench.fresh(f"again-{name.replace(' ', '-')}")
                sides[name] = _again(bench, command(host, to), to)
            bench.measure(f"{title}, {kind}", sides)
            for path in bench.folder.glob("again-*"):
                shutil.rmtree(path)


def _again(bench: Bench, command: Sequence[str], to: Path) -> Side:
    """Return a side that runs *command*, for the first time out of time."""

    def side() -> Run:
        if not any(to.iterdir()):
            bench.client(command, to)
        return bench.timed(command, to, 0)

    return side


def pushes(bench: Bench, title: str, shape: str, kinds: Sequence[str], delay: float = 0.0) -> None:
    """Push the model of *shape* to a registry that has nothing, a new one each time."""
    model = bench.stored(shape)

    def side(kind: str, command: Callable[[Model, str], list[str]]) -> Run:
        with reached(kind, bench, delay) as (host, far):
            done = bench.timed(command(model, far), bench.store_of(shape), model.size)
            check(host, model)
        return done

    for kind in kinds:
        sides: dict[str, Side] = {
            name: lambda command=command, kind=kind: side(kind, command)
            for name, command in _pushing(bench)
        }
        bench.measure(f"{title}, {kind}", sides)


def pushes_to_sink(bench: Bench, title: str, shape: str) -> None:
    """Push the model of *shape* to a registry that only counts."""
    model = bench.stored(shape)

    def side(command: Callable[[Model, str], list[str]]) -> Run:
        with sink(bench.folder) as host:
            done = bench.timed(command(model, host), bench.store_of(shape), model.size)
            sent = counted(host)
        if sent != model.size:
            sys.exit(f"{sent:,} bytes were sent, not {model.size:,}")
        return done

    sides: dict[str, Side] = {
        name: lambda command=command: side(command) for name, command in _pushing(bench)
    }
    bench.measure(title, sides)


def _pushing(bench: Bench) -> list[tuple[str, Callable[[Model, str], list[str]]]]:
    clients = bench.taking_part(PUSHES).items()
    notes = bench.fresh("notes")
    return [(FLOOR, lambda model, host: _floor.push(model, host, notes)), *clients]


def copies(bench: Bench, title: str, shape: str, first: str, second: str) -> None:
    """Copy the model of *shape* to a registry that has nothing, a new one each time."""
    model = bench.model(shape)
    store = bench.folder / "unused"

    def side(source: str, command: Callable[[str, str], list[str]]) -> Run:
        with reached(second, bench) as (host, _):
            done = bench.timed(command(source, host), store, model.size)
            check(host, model)
        if store.exists():
            sys.exit(f"the copy left {[str(path) for path in store.rglob('*')]} behind")
        return done

    with serving(first, bench.fresh("source") / "root") as source:
        fill(source, model)
        sides: dict[str, Side] = {
            FLOOR: lambda: side(source, lambda here, there: _floor.copy(model, here, there))
        }
        for name, command in bench.taking_part(COPIES).items():
            sides[name] = lambda command=command: side(source, command)
        bench.measure(f"{title}, {first} to {second}", sides)
