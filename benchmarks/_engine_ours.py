"""What our engine promises about itself: each measurement has its other side in our engine, too."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _measure import median

from modelpack.engine.base import Chunk, Grammar, LoadOptions, Request
from modelpack.engine.llamacpp import Engine, load
from modelpack.engine.loop import Loop
from modelpack.engine.sampling import Sampling
from modelpack.gguf.reader import read_header
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.worker.messages import Ask
from modelpack.runtime.worker.process import Worker

if TYPE_CHECKING:
    from engine import Setting

Told = dict[str, Any]


def _load(setting: Setting, *, n_ctx: int, slots: int = 1) -> Engine:
    return load(
        LoadOptions(weights=(setting.model,), n_ctx=n_ctx, n_threads=setting.threads, slots=slots)
    )


def _prompt(engine: Engine, count: int, seed: int = 1) -> tuple[int, ...]:
    numbers = random.Random(seed)
    return tuple(numbers.randrange(100, engine.vocabulary.size // 2) for _ in range(count))


def _endless(engine: Engine, tokens: int) -> Sampling:
    ends = engine.vocabulary.ends
    banned = tuple((t, float("-inf")) for t in range(engine.vocabulary.size) if ends(t))
    return Sampling(seed=1, num_predict=tokens, logit_bias=banned)


def beside(setting: Setting, title: str) -> Told:
    """One stream writes while a long prompt comes in: how long are its pauses?"""
    long = min(2000, _trained(setting.model) - 100)
    rows = []
    with _load(setting, n_ctx=long + 64, slots=2) as engine:
        for number in range(setting.rounds):
            rows.append(_pauses(engine, long, number))
    alone = median([median(a) for a, _ in rows])
    between = [pause for _, pauses in rows for pause in pauses]
    p99 = sorted(between)[int(len(between) * 0.99)]
    print(f"\n{title} ({long:,} tokens)")
    print(f"alone: {1000 * alone:.2f} ms a token; beside: median {1000 * median(between):.2f}, "
          f"p99 {1000 * p99:.2f} ms = {p99 / alone:.2f} times alone")  # fmt: skip
    return {"alone_s": alone, "p99_s": p99, "ratio": p99 / alone}


def _pauses(engine: Engine, long: int, seed: int) -> tuple[list[float], list[float]]:
    """Return how long each token of an answer took: before, and while a prompt came in."""
    loop = engine.loop
    first = loop.submit(Request(tokens=_prompt(engine, 16, seed), sampling=_endless(engine, 2000)))
    marks: list[float] = []
    _until(loop, marks, lambda said: len(marks) > 60)
    alone, marks[:] = _between(marks)[10:], marks[-1:]
    other = loop.submit(
        Request(tokens=_prompt(engine, long, seed + 1000), sampling=_endless(engine, 1))
    )
    _until(loop, marks, lambda said: any(number == other for number, _ in said))
    loop.cancel(first)
    while loop.busy:
        loop.step()
    return alone, _between(marks)


def _until(
    loop: Loop, marks: list[float], over: Callable[[list[tuple[int, object]]], bool]
) -> None:
    """Step until it is *over*, marking when the only answer gets a token."""
    written = 0
    said: list[tuple[int, object]] = []
    while not over(said):
        said = loop.step()  # type: ignore[assignment]
        now = sum(job.generated for job in loop._jobs() if job.writing)
        if now != written:
            marks.append(time.perf_counter())
        written = now


def _between(marks: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(marks)]


def _rate(engine: Engine, request: Request) -> float:
    """Return the tokens a second after the first one."""
    with closing(engine.loop.run(request)) as events:
        for event in events:
            last = event
    took = last.statistics
    return (took.generated_tokens - 1) / took.generation_s


def _compared(setting: Setting, title: str, plain: dict[str, Any], other: dict[str, Any]) -> Told:
    """Write with two ways of sampling in turn."""
    rates: tuple[list[float], list[float]] = ([], [])
    with _load(setting, n_ctx=512) as engine:
        prompt = _prompt(engine, 32)
        for number in range(setting.rounds + 1):
            for row, wishes in zip(rates, (plain, other), strict=True):
                request = Request(tokens=prompt, sampling=_endless(engine, 192), **wishes)
                rate = _rate(engine, request)
                if number:
                    row.append(rate)
    free, held = map(median, rates)
    print(f"\n{title}\n{held:.1f} against {free:.1f} tokens/s = {held / free:.3f}")
    return {"rates": rates, "ratio": held / free}


def second_turn(setting: Setting, title: str) -> Told:
    """Time to the first token of a second turn, against one bare decode of its new tokens."""
    turns: list[float] = []
    alone: list[float] = []
    one = Sampling(num_predict=1, temperature=0.0)
    with _load(setting, n_ctx=1024) as engine:
        decoder = engine.loop._decoder
        for seed in range(setting.rounds):
            first, new = _prompt(engine, 500, seed), _prompt(engine, 40, seed + 500)
            _first(engine, first, one)
            turns.append(_first(engine, first + new, one))
            decoder.keep(0, 500)
            began = time.perf_counter()
            decoder.decode([Chunk(0, 500, new, True)])
            alone.append(time.perf_counter() - began)
            decoder.keep(0, 540)
    ratio = median(turns) / median(alone)
    print(f"\n{title}\n{1000 * median(turns):.2f} ms after 500 tokens, "
          f"{1000 * median(alone):.2f} ms for the 40 new ones = {ratio:.2f}")  # fmt: skip
    return {"turn_s": turns, "alone_s": alone, "ratio": ratio}


def _first(engine: Engine, tokens: Sequence[int], sampling: Sampling) -> float:
    began = time.perf_counter()
    with closing(engine.loop.run(Request(tokens=tuple(tokens), sampling=sampling))) as events:
        for _ in events:
            pass
    return time.perf_counter() - began


def cold_start(setting: Setting, title: str) -> Told:
    """Start a worker, ask it, end it."""
    files = ModelFiles(name="bench", weights=(setting.model,))
    took, first = [], []
    for _ in range(setting.rounds):
        began = time.perf_counter()
        with Worker(files, {"num_thread": setting.threads}) as worker:
            took.append(time.perf_counter() - began)
            ask = Ask(raw="Hello", options={"num_predict": 1})
            for _ in worker.ask(ask):
                pass
            first.append(time.perf_counter() - began)
    print(f"\n{title}\nready after {median(took):.3f} s, first token after {median(first):.3f} s")
    return {"ready_s": took, "first_s": first}


_LOADING = """
import resource, sys, time
from pathlib import Path
from modelpack.engine.base import Chunk, Grammar, LoadOptions, Request
from modelpack.engine.llamacpp import load
import llama_cpp, numpy
began = time.perf_counter()
with load(LoadOptions(weights=tuple(map(Path, sys.argv[1:])), n_ctx=256)) as engine:
    for _ in engine.loop.run(Request(tokens=(100, 101))): break
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def layered(setting: Setting, title: str) -> Told:
    """Load the model as one file and as shards, in a new process each time."""
    shards = _shards(setting)
    rows: dict[str, list[tuple[float, int]]] = {"one file": [], f"{len(shards)} layers": []}
    for _ in range(setting.rounds):
        for name, paths in zip(rows, ([setting.model], shards), strict=True):
            command = [sys.executable, "-c", _LOADING, *map(str, paths)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            took, peak = said.split()
            rows[name].append((float(took), int(peak)))
    print(f"\n{title}")
    for name, runs in rows.items():
        peak = max(peak for _, peak in runs) / 1024
        print(f"{name:10} {median([took for took, _ in runs]):.3f} s, {peak:.0f} MiB")
    return rows


def _shards(setting: Setting) -> list[Path]:
    from modelpack.builder.plan import Cut
    from modelpack.config import Settings
    from modelpack.formats.artifact import Role
    from modelpack.ops.build import BuildOptions, build
    from modelpack.ops.context import Context
    from modelpack.ops.run import stored_model

    store = setting.folder / f"store-{setting.model.stem}"
    context = Context.create(Settings.from_environment({"MODELPACK_MODELS": str(store)}))
    size = max(200_000, setting.model.stat().st_size // 8)
    options = BuildOptions(context=setting.model.parent, tags=["bench"], cut=Cut(size=size))
    build(context, f"FROM {setting.model}\n".encode(), options)
    return list(stored_model(context, "bench").files(Role.MODEL))


def _trained(model: Path) -> int:
    """Return the tokens of context that *model* was trained for."""
    header = read_header(model)
    kind = header.text("general.architecture")
    return header.integer(f"{kind}.context_length") or 0


def constrained(setting: Setting, title: str) -> Told:
    """Write strings in JSON by a schema, against free text: no token is dictated."""
    return _by_schema(setting, title, {"type": "string"})


def records(setting: Setting, title: str) -> Told:
    """Write records in JSON by a schema, against free text: names are dictated, as in most."""
    properties = {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "country": {"enum": ["France", "Germany", "Switzerland"]},
        "is_employed": {"type": "boolean"},
    }
    record = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return _by_schema(setting, title, record)


def _by_schema(setting: Setting, title: str, items: dict[str, Any]) -> Told:
    schema = {"type": "array", "items": items, "minItems": 1000}
    grammar = Grammar("json_schema", json.dumps(schema))
    return _compared(setting, title, {}, {"grammar": grammar})


def logprobs(setting: Setting, title: str) -> Told:
    """Tell the likeliest 20 tokens in the place of each one, against telling none."""
    return _compared(setting, title, {}, {"logprobs": True, "top_logprobs": 20})
