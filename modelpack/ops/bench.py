"""Measure how fast a model reads prompts and writes answers, alone and several at a time."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.engine.base import Delta, Failed, Request
from modelpack.engine.loop import Loop
from modelpack.engine.sampling import Sampling
from modelpack.errors import InputError
from modelpack.formats.artifact import Role
from modelpack.ops.model import StoredModel
from modelpack.progress import Event, Report, silent

if TYPE_CHECKING:
    from modelpack.engine.llamacpp import Engine

_SPARE = 8
"""Tokens of context beyond prompt and answer."""
_MOST_STREAMS = 256
_BUSY = 0.7
"""Load (processes that compute) from which on measurements are not to be relied on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What is measured; lengths in tokens."""

    streams: tuple[int, ...] = (1, 4, 8)
    """Answers at the same time, one measurement each."""
    prompt: int = 512
    tokens: int = 128
    """Of each answer."""
    n_ctx: int = 0
    """Context of one slot; 0 stands for as much as prompt and answer take."""
    threads: int = 0
    """0 stands for one per physical core."""

    @property
    def context(self) -> int:
        """Tokens of context of one slot."""
        return self.n_ctx or self.prompt + self.tokens + _SPARE

    def check(self) -> None:
        """Raise InputError where nothing can be measured like that."""
        if not self.streams or not all(1 <= count <= _MOST_STREAMS for count in self.streams):
            raise InputError(f"--streams: numbers from 1 to {_MOST_STREAMS}, such as 1,4,8")
        if self.prompt < 1 or self.tokens < 2:
            raise InputError("a prompt has at least 1 token, and an answer at least 2")
        if self.prompt + self.tokens > self.context:
            raise InputError(
                f"{self.prompt:,} tokens of prompt and {self.tokens:,} of answer "
                f"do not fit a context of {self.context:,}",
                hint="raise --ctx",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What was measured with some streams at the same time; rates in tokens a second."""

    streams: int
    first_token_s: float
    """From asking to the first token, the median of all streams that asked at once."""
    last_first_token_s: float
    """The same for the stream that waited longest."""
    prompt_rate: float
    """Of all streams together."""
    decode_rate: float
    """Of all streams together."""

    @property
    def stream_rate(self) -> float:
        """How fast each answer is written."""
        return self.decode_rate / self.streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measurement of one model."""

    model: str
    load_s: float
    context: int
    """Tokens of context of one slot."""
    threads: int
    speeds: tuple[Speed, ...]


def bench(model: StoredModel, options: BenchOptions, report: Report = silent) -> Measured:
    """Load *model* into this process and measure it; *report* hears of each step.

    Raises:
        InputError: the options contradict each other, or the model cannot have such a context.
        MissingExtraError: the runtime is not installed.
        EngineError: it cannot be loaded.
    """
    from modelpack.engine.base import Adapter, LoadOptions
    from modelpack.engine.cores import count_cores
    from modelpack.engine.llamacpp import load

    options.check()
    threads = options.threads or count_cores()
    loading = LoadOptions(
        weights=model.files(Role.MODEL),
        adapters=tuple(Adapter(path) for path in model.files(Role.ADAPTER)),
        n_ctx=options.context,
        n_threads=threads,
        slots=max(options.streams),
    )
    _say(report, _warning() or f"loading {model.name}")
    with load(loading) as engine:
        if engine.n_ctx < options.prompt + options.tokens:
            raise InputError(
                f"{model.name} has a context of {engine.n_ctx:,} tokens; "
                f"{options.prompt + options.tokens:,} are asked for",
                hint="lower --prompt or --tokens",
            )
        loop = _endless(engine)
        vocabulary = _Numbers(engine)
        _run(loop, [vocabulary.prompt(min(options.prompt, 32))], 2)  # the first step is slower
        speeds = []
        for count in options.streams:
            _say(report, f"{count} at a time")
            prompts = [vocabulary.prompt(options.prompt) for _ in range(count)]
            speeds.append(measure(loop, prompts, options.tokens))
        return Measured(
            model=model.name,
            load_s=engine.load_s,
            context=engine.n_ctx,
            threads=threads,
            speeds=tuple(speeds),
        )


def measure(
    loop: Loop,
    prompts: Sequence[tuple[int, ...]],
    tokens: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Answer *prompts* at the same time on *loop*, whose answers must not end by themselves.

    First each answer is one token, which tells how fast prompts are read. Then the same prompts,
    which the loop still holds, are asked again for *tokens*, which tells how fast it writes.
    """
    begun = clock()
    firsts = [times[0] - begun for times in _run(loop, prompts, 1, clock)]
    last = max(*firsts, 1e-9)
    written = _run(loop, prompts, tokens, clock)
    start = max(times[0] for times in written)  # from here on all of them write
    end = min(times[-1] for times in written)
    during = [at for times in written for at in times if start < at <= end]
    return Speed(
        streams=len(prompts),
        first_token_s=statistics.median(firsts),
        last_first_token_s=last,
        prompt_rate=sum(map(len, prompts)) / last,
        decode_rate=len(during) / max(end - start, 1e-9),
    )


def _run(
    loop: Loop,
    prompts: Sequence[tuple[int, ...]],
    tokens: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Answer *prompts* with *tokens* each; return when each token of each answer was there."""
    sampling = Sampling(temperature=0.0, num_predict=tokens)
    times: dict[int, list[float]] = {
        loop.submit(Request(tokens=prompt, sampling=sampling)): [] for prompt in prompts
    }
    while loop.busy:
        said = loop.step()
        now = clock()
        for owner, event in said:
            if isinstance(event, Delta):
                times[owner].append(now)
            elif isinstance(event, Failed):
                raise event.error
    return list(times.values())


class _Endless:
    """Takes every token for one character, and none for the end."""

    def piece(self, _token: int) -> bytes:
        return b"x"

    spelling = piece

    def ends(self, _token: int) -> bool:
        return False


class _Numbers:
    """Prompts of tokens by chance, the same at every run."""

    def __init__(self, engine: Engine) -> None:
        self._draw = random.Random(1)  # noqa: S311 - nothing secret
        self._size = engine.vocabulary.size

    def prompt(self, length: int) -> tuple[int, ...]:
        return tuple(self._draw.randrange(self._size) for _ in range(length))


def _endless(engine: Engine) -> Loop:
    """Return a loop over the context of *engine* whose answers only end at their bound."""
    of = engine.loop
    return Loop(of._decoder, _Endless(), of._bounds)


def _warning() -> str:
    """Return a word on other programs that compute, which slow down what is measured."""
    try:
        busy = os.getloadavg()[0]
    except (OSError, AttributeError):
        return ""
    return f"other programs are busy (load {busy:.1f}); expect less" if busy > _BUSY else ""


def _say(report: Report, text: str) -> None:
    report(Event(action="status", item=text))
