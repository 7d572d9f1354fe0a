"""Write with our engine, with a bare C loop, with llama-server and with llama-cpp-python's `Llama`.

All sides run the same model with the same context, threads, prompts and sampling, each in a process
of its own that is kept, and take turns; medians count. The C loop (`native/loop.c`) calls the same
shared library as ours, with the same way of attention, and once more with llama.cpp's own choice.
llama-server comes from the wheel of xllamacpp, over HTTP on the loopback
interface. The other scenarios compare our engine with itself.

Usage: python benchmarks/engine.py [--only NAME[,NAME...]] [--list] [--model tiny,random,narrow]
       [--rounds N] [--threads N] [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _engine_ours
from _measure import median
from _random_model import NARROW, make_random_model

from modelpack.engine.cores import count_cores
from modelpack.runtime.worker.spawn import worker_environment

HERE = Path(__file__).parent
TINY = HERE.parent / "Modelfile.examples" / "tiny" / "tiny.gguf"
C, FLASH, OURS, SERVER, LLAMA = "C loop", "C loop, flash", "ours", "llama-server", "Llama"

Told = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What all scenarios share."""

    folder: Path
    model: Path
    threads: int
    rounds: int
    loop: Path | None
    """The C loop, if there is a compiler."""

    def command(self, side: str, shape: Sequence[int]) -> list[str] | None:
        """Return the program of *side* for *shape*: streams, prompt, tokens and context."""
        streams, *rest = shape
        words = [str(self.model), str(self.threads), str(streams), *map(str, rest)]
        if side in (C, FLASH):
            more = ["flash"] if side == FLASH else []
            return [str(self.loop), *words, *more] if self.loop else None
        if side == LLAMA and streams > 1:
            return None
        if side == SERVER and importlib.util.find_spec("xllamacpp") is None:
            return None
        return [sys.executable, str(HERE / "_engine_side.py"), side, *words]


class Side:
    """One side's process."""

    def __init__(
        self, command: Sequence[str], has_greeting: bool, env: Mapping[str, str] | None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if has_greeting:
            self._line()

    def go(self) -> Told:
        """Let it do the work once."""
        assert self._process.stdin is not None
        before = self._cpu_s()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = self._line()
        return {**told, "cpu_s": self._cpu_s() - before}

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _cpu_s(self) -> float:
        """Return the seconds of processors that it took so far; 0 where nobody tells."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in threads) / 1e9

    def _line(self) -> Told:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args!r} has ended with {self._process.wait()}")
        told: Told = json.loads(line)
        return told


@contextmanager
def sides(
    setting: Setting, names: Sequence[str], shape: Sequence[int]
) -> Iterator[dict[str, Side]]:
    """Start the sides that there are."""
    with ExitStack() as running:
        found = {}
        for name in names:
            command = setting.command(name, shape)
            if command is not None:
                env = worker_environment() if name == OURS else None
                found[name] = Side(command, has_greeting=name not in (C, FLASH), env=env)
                running.callback(found[name].close)
        yield found


def writing(setting: Setting, title: str, shape: Sequence[int]) -> Told:
    """Write with all sides; print tokens a second, and each quarter's time for a token."""
    streams, _, tokens, _ = shape
    runs: dict[str, list[Told]] = {}
    with sides(setting, (C, FLASH, OURS, SERVER, LLAMA), shape) as there:
        for number in range(setting.rounds + 1):
            for name, side in there.items():
                told = side.go()
                if number:
                    runs.setdefault(name, []).append(told)
    rest = streams * (tokens - 1)
    rates = {n: median([rest / sum(t["quarters_s"]) for t in rows]) for n, rows in runs.items()}
    print(f"\n{title}")
    cpus = {n: median([t["cpu_s"] for t in rows]) / (streams * tokens) for n, rows in runs.items()}
    print(
        f"{'':13} tokens/s  x C loop  x server   CPU ms a token  x C loop   prompt s   "
        "last quarter / first"
    )
    for name, rows in runs.items():
        grown = median([t["quarters_s"][3] / t["quarters_s"][0] for t in rows])
        print(
            f"{name:13} {rates[name]:8.1f} {_ratio(rates[name], rates.get(C))} "
            f"{_ratio(rates[name], rates.get(SERVER))} "
            f"{1000 * cpus[name]:14.3f} {_ratio(cpus[name], cpus.get(C))} "
            f"{median([t['prompt_s'] for t in rows]):10.3f} {grown:12.2f}"
        )
    return {"rates": rates, "cpu_s": cpus, "runs": runs}


def _ratio(mine: float, other: float | None) -> str:
    return f"{mine / other:9.2f}" if other else f"{'-':>9}"


SCENARIOS: Mapping[str, tuple[str, Callable[[Setting, str], Told]]] = {
    "one": ("one stream", lambda s, t: writing(s, t, (1, 32, 192, 512))),
    "eight": ("eight streams", lambda s, t: writing(s, t, (8, 32, 96, 256))),
    "long": ("4,000 tokens", lambda s, t: writing(s, t, (1, 32, 4000, 4096))),
    "beside": ("tokens beside a prompt of 2,000", _engine_ours.beside),
    "json": ("JSON strings against free text", _engine_ours.constrained),
    "records": ("JSON records against free text", _engine_ours.records),
    "turn": ("the second turn of a chat", _engine_ours.second_turn),
    "logprobs": ("log-probabilities", _engine_ours.logprobs),
    "start": ("cold start of a worker", _engine_ours.cold_start),
    "layers": ("loading layered weights", _engine_ours.layered),
}


def main() -> None:
    said = _arguments()
    wanted = [name for name in said.only.split(",") if name] or list(SCENARIOS)
    if unknown := set(wanted) - set(SCENARIOS):
        sys.exit(f"there is no scenario {sorted(unknown)[0]!r}; see --list")
    if said.list:
        for name in wanted:
            print(f"{name:10} {SCENARIOS[name][0]}")
        return
    folder = Path(tempfile.mkdtemp(prefix="modelpack-bench-", dir=said.folder))
    results = {}
    try:
        loop = compile_loop(folder)
        models = {
            "tiny": lambda: TINY,
            "random": lambda: make_random_model(
                said.folder / "random.gguf" if said.folder else folder / "random.gguf"
            ),
            "narrow": lambda: make_random_model(folder / "narrow.gguf", NARROW),
        }
        for name in said.model.split(","):
            setting = Setting(folder, models[name](), said.threads, said.rounds, loop)
            for scenario in wanted:
                title, measure = SCENARIOS[scenario]
                results[f"{scenario}, {name}"] = measure(setting, f"{title}, {name}")
                sys.stdout.flush()
                if said.json:
                    said.json.write_text(json.dumps(results, indent=1))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compile_loop(folder: Path) -> Path | None:
    """Compile the C loop against the library of llama-cpp-python; None where that fails."""
    package = importlib.util.find_spec("llama_cpp")
    compiler = shutil.which("cc")
    if package is None or package.origin is None or compiler is None:
        return None
    libraries = Path(package.origin).parent / "lib"
    target = folder / "loop"
    command = [
        compiler, "-O2", f"-I{libraries.parents[1] / 'include'}", str(HERE / "native" / "loop.c"),
        "-o", str(target), f"-L{libraries}", "-lllama", "-lggml", "-lggml-base",
        f"-Wl,-rpath,{libraries}",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="scenarios")
    parser.add_argument("--list", action="store_true", help="print the scenarios, and stop")
    parser.add_argument("--model", default="tiny,random")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=count_cores())
    parser.add_argument("--folder", type=Path, default=None, help="where to put all files")
    parser.add_argument("--json", type=Path, default=None, help="where to put the raw numbers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
