"""One side of `engine.py`, as a program.

Usage: _engine_side.py SIDE MODEL THREADS STREAMS PROMPT TOKENS CTX

For each line on standard input it answers STREAMS prompts of PROMPT tokens at once with TOKENS
tokens each, and prints what that took as a line of JSON, like `native/loop.c`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP_K, TOP_P, TEMPERATURE = 40, 0.9, 0.8


@dataclass(frozen=True)
class Work:
    """What is to be done."""

    model: Path
    threads: int
    streams: int
    prompt: int
    tokens: int
    ctx: int

    def prompts(self, known: int) -> list[list[int]]:
        """Return the tokens of each prompt, of a vocabulary of *known* tokens."""
        return [
            [(at * 7 + stream * 13 + 100) % (known // 2) for at in range(self.prompt)]
            for stream in range(self.streams)
        ]


class Marks:
    """When the first token of each stream had come, and each quarter of the others of all."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._began = time.perf_counter()
        self._came = 0
        self._times: list[float] = []
        self._lock = threading.Lock()

    def token(self) -> None:
        """Say that one more token has come."""
        with self._lock:
            self._came += 1
            self._times.append(time.perf_counter())

    def told(self) -> dict[str, object]:
        """Return what is printed."""
        streams = self._work.streams
        first, rest = self._times[streams - 1], self._times[streams:]
        quarter = len(rest) / 4
        ends = [rest[round(quarter * (n + 1)) - 1] for n in range(4)]
        starts = [first, *ends]
        parts = [end - start for start, end in zip(starts, ends, strict=False)]
        return {"prompt_s": first - self._began, "quarters_s": parts, "tokens": self._came}


def ours(work: Work) -> Iterator[Callable[[], dict[str, object]]]:
    """Give our loop, in this process."""
    from modelpack.engine.base import Finished, LoadOptions, Request
    from modelpack.engine.llamacpp import load
    from modelpack.engine.sampling import Sampling

    options = LoadOptions(
        weights=(work.model,), n_ctx=work.ctx, n_threads=work.threads, slots=work.streams
    )
    with load(options) as engine:
        ends = engine.vocabulary.ends
        banned = tuple((t, float("-inf")) for t in range(engine.vocabulary.size) if ends(t))

        def go() -> dict[str, object]:
            marks = Marks(work)
            for stream, prompt in enumerate(work.prompts(engine.vocabulary.size)):
                sampling = Sampling(
                    seed=stream + 1,
                    num_predict=work.tokens,
                    top_k=TOP_K,
                    top_p=TOP_P,
                    temperature=TEMPERATURE,
                    logit_bias=banned,
                )
                engine.loop.submit(Request(tokens=tuple(prompt), sampling=sampling))
            before = ended = 0
            while engine.loop.busy:
                ended += sum(isinstance(event, Finished) for _, event in engine.loop.step())
                running = sum(job.generated for job in engine.loop._jobs())
                for _ in range(running + ended * work.tokens - before):
                    marks.token()
                before = running + ended * work.tokens
            return marks.told()

        yield go


def server(work: Work) -> Iterator[Callable[[], dict[str, object]]]:
    """Give llama-server, which xllamacpp runs in this process, over HTTP."""
    import requests
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(work.model)
    params.n_parallel = work.streams
    params.n_ctx = work.ctx * work.streams
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = work.threads
    params.warmup = False
    instance = xllamacpp.Server(params)
    url = f"{instance.listening_address}/completion"
    known = 100_000 if work.model.stat().st_size > 100_000_000 else 700

    def ask(session: requests.Session, marks: Marks, stream: int, prompt: list[int]) -> None:
        body: dict[str, Any] = {
            "prompt": prompt, "n_predict": work.tokens, "stream": True, "ignore_eos": True,
            "cache_prompt": False, "seed": stream + 1, "top_k": TOP_K, "top_p": TOP_P, "min_p": 0,
            "temperature": TEMPERATURE, "samplers": ["top_k", "top_p", "temperature"],
        }  # fmt: skip
        with session.post(url, json=body, stream=True, timeout=600) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith(b"data: ") and b'"stop":false' in line:
                    marks.token()

    with ThreadPoolExecutor(work.streams) as pool, requests.Session() as session:

        def go() -> dict[str, object]:
            marks = Marks(work)
            prompts = work.prompts(known)
            asked = [pool.submit(ask, session, marks, n, p) for n, p in enumerate(prompts)]
            for one in asked:
                one.result()
            return marks.told()

        yield go


def llama(work: Work) -> Iterator[Callable[[], dict[str, object]]]:
    """Give the class `Llama` of llama-cpp-python, which knows one stream."""
    import llama_cpp

    model = llama_cpp.Llama(
        str(work.model), n_ctx=work.ctx, n_threads=work.threads, n_threads_batch=work.threads,
        verbose=False,
    )  # fmt: skip

    def go() -> dict[str, object]:
        model.reset()
        marks = Marks(work)
        (prompt,) = work.prompts(model.n_vocab())
        written = model.generate(prompt, top_k=TOP_K, top_p=TOP_P, min_p=0.0, temp=TEMPERATURE)
        for _, token in zip(range(work.tokens), written, strict=False):
            model.detokenize([token])
            marks.token()
        return marks.told()

    yield go


SIDES = {"ours": ours, "llama-server": server, "Llama": llama}


def main() -> None:
    side, model, *numbers = sys.argv[1:]
    work = Work(Path(model), *map(int, numbers))
    for go in SIDES[side](work):
        print("{}", flush=True)
        for _ in sys.stdin:
            print(json.dumps(go()), flush=True)


if __name__ == "__main__":
    main()
