"""Sides taken in turn, and the table that comes of it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from _measure import MiB, Run, interleave, median, run_apart, warm_memory
from _model import Model, make_model
from _peers import OURS, load, program_of

FLOOR = "floor"
SMALL = 4096

Side = Callable[[], Run]
Command = TypeVar("Command")


@dataclass
class Bench:
    """What all scenarios share."""

    folder: Path
    size: int
    rounds: int
    warmups: int
    registries: Sequence[str]
    clients: Sequence[str]
    durable: bool = False
    """Whether others are measured a second time, waiting for the disk as ours does."""
    results: dict[str, dict[str, object]] = field(default_factory=dict)
    """The raw numbers of each table."""
    _models: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir()

    @property
    def home(self) -> Path:
        """A home folder without credentials."""
        return self.folder / "home"

    def store_of(self, shape: str) -> Path:
        """Return the folder of the store that has the model of *shape*."""
        return self.folder / f"store-{shape}"

    def model(self, shape: str) -> Model:
        """Return the model of *shape*: `one` or `four` blobs, or a number of small ones."""
        if shape not in self._models:
            parts = {"one": 1, "four": 4}.get(shape)
            sizes = [self.size // parts] * parts if parts else [SMALL] * int(shape)
            self._models[shape] = make_model(self.folder / f"layout-{shape}", sizes)
        return self._models[shape]

    def stored(self, shape: str) -> Model:
        """Return the model of *shape*, which our store has too."""
        model = self.model(shape)
        if not self.store_of(shape).exists():
            self.client(load(model), self.store_of(shape))
        return model

    def taking_part(self, commands: Mapping[str, Command]) -> dict[str, Command]:
        """Return those of *commands* whose client is there and wanted."""
        return {n: command for n, command in commands.items() if program_of(n) in self.clients}

    def client(self, command: Sequence[str], store: Path) -> Run:
        """Run a client; *store* is where ours keeps models."""
        return run_apart(command, self.environment(store))

    def environment(self, store: Path) -> dict[str, str]:
        """Return what keeps a client from everything outside the folder; *store* is for ours."""
        return {
            "HOME": str(self.home),
            "MODELPACK_MODELS": str(store),
            "_CONTAINERS_ROOTLESS_UID": "1",  # skopeo's cache is below $HOME then, also for root
        }

    def timed(self, command: Sequence[str], store: Path, size: int | None = None) -> Run:
        """Run a client once memory is warm and the disk is quiet."""
        os.sync()
        warm_memory((self.size if size is None else size) + 512 * MiB)
        return self.client(command, store)

    def fresh(self, name: str) -> Path:
        """Return a new empty folder called *name*."""
        path = self.folder / name
        self.put_away(path)
        path.mkdir()
        return path

    def put_away(self, path: Path) -> None:
        """Let *path* be gone; small files only go with all the rest.

        ext4 does not use the inodes of removed files for minutes, and searches ever longer.
        """
        if path.exists() and size_of(path) < 64 * MiB:
            path.rename(tempfile.mkdtemp(prefix="old-", dir=self.folder))
        else:
            shutil.rmtree(path, ignore_errors=True)

    def measure(self, title: str, sides: Mapping[str, Side]) -> None:
        """Take all *sides* in turn, leaving out those that fail, and print the table."""
        sys.stderr.write(f"{title}\n")
        failed: dict[str, str] = {}
        working = {name: _tolerant(name, side, failed) for name, side in sides.items()}
        done = interleave(working, self.rounds, self.warmups)
        runs = {name: rows for name, rows in done.items() if name not in failed}
        self.results[title] = {name: [asdict(r) for r in rows] for name, rows in runs.items()}
        print(f"\n{title}")
        compare(runs)
        for name, why in failed.items():
            print(f"{name} fails: {why}")


def _tolerant(name: str, side: Side, failed: dict[str, str]) -> Side:
    """Wrap *side* so that it fails once, and not the others with it."""

    def attempt() -> Run:
        if name not in failed:
            try:
                return side()
            except SystemExit as error:
                failed[name] = " ".join(str(error).split())[-300:]
        return Run(0, 0, 0)

    return attempt


def compare(runs: Mapping[str, Sequence[Run]]) -> None:
    """Print medians, and the ratios to the fastest peer and to the floor."""
    walls = {name: median([run.wall_s for run in rows]) for name, rows in runs.items()}
    peers = [wall for name, wall in walls.items() if name not in (FLOOR, OURS)]
    width = max(map(len, ("", *runs)))
    print(f"{'':{width}}   wall s    min    max   cpu s  peak MiB  x peer  x floor")
    for name, rows in runs.items():
        whole = [run.wall_s for run in rows]
        print(
            f"{name:{width}}  {walls[name]:7.3f} {min(whole):6.3f} {max(whole):6.3f} "
            f"{median([run.cpu_s for run in rows]):7.3f} "
            f"{max(run.peak for run in rows) / MiB:9.1f}  "
            f"{_ratio(walls[name], min(peers, default=0))}  {_ratio(walls[name], walls.get(FLOOR))}"
        )


def _ratio(wall: float, other: float | None) -> str:
    return f"{wall / other:6.2f}" if other else f"{'-':>6}"


def size_of(folder: Path) -> int:
    """Return the bytes of all files below *folder*."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
