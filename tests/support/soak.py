"""Clients that come, cancel and vanish, while the worker that they ask is killed now and then."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelpack.engine.base import Delta, Finished
from modelpack.errors import EngineError, ModelPackError
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.worker.model import WorkerModel
from modelpack.template.chat import ChatMessage

PARALLEL = 4
GREEDY = {"temperature": 0.0, "num_predict": 40}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name_of_the_city": {"type": "string", "maxLength": 8},
        "is_a_capital": {"type": "boolean"},
    },
    "required": ["name_of_the_city", "is_a_capital"],
    "additionalProperties": False,
}
ENDLESS = {"temperature": 0.0, "num_predict": 100_000}


@dataclass
class Tally:
    """What came of everything."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    """KiB of this process, now and then."""
    slowest_s: float = 0.0


@dataclass
class Soak:
    """*clients* threads ask the model in *weights*, whose answer to *question* is *answer*."""

    weights: Path
    question: str
    answer: str
    clients: int = 32
    kill_every_s: float = 5.0
    tally: Tally = field(default_factory=Tally)

    def run(self, seconds: float, seed: int = 1) -> Tally:
        """Go on for *seconds*; returns when everybody has ended."""
        over = threading.Event()
        files = ModelFiles(name="soak", weights=(self.weights,))
        with WorkerModel(files, {"num_thread": 1}, parallel=PARALLEL) as model:
            threads = [
                threading.Thread(target=self._client, args=(model, over, random.Random(seed + n)))
                for n in range(self.clients)
            ]
            for thread in threads:
                thread.start()
            self._kill(model, over, seconds, random.Random(seed))
            for thread in threads:
                thread.join(60)
            self.tally.wrong += ["a client hangs" for thread in threads if thread.is_alive()]
        return self.tally

    def _kill(
        self, model: WorkerModel, over: threading.Event, seconds: float, rng: random.Random
    ) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.tally.memory.append(resident(os.getpid()))
            over.wait(min(rng.uniform(0.5, 1.5) * self.kill_every_s, ends - time.monotonic()))
            worker = model._worker
            if worker is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, rng.choice((signal.SIGKILL, signal.SIGABRT)))
                self.tally.ends["worker killed"] += 1
        over.set()

    def _client(self, model: WorkerModel, over: threading.Event, rng: random.Random) -> None:
        while not over.is_set():
            began = time.monotonic()
            deed = rng.choice((self._answered, self._structured, self._cancelled, self._left))
            try:
                end = deed(model, rng)
            except EngineError as error:
                end = "killed" if "killed" in str(error) or "crashed" in str(error) else str(error)
            except ModelPackError as error:
                end = f"{type(error).__name__}: {error}"
            self.tally.ends[end] += 1
            self.tally.slowest_s = max(self.tally.slowest_s, time.monotonic() - began)

    def _answered(self, model: WorkerModel, _rng: random.Random) -> str:
        message = ChatMessage(role="user", content=self.question)
        *said, last = model.chat([message], options=GREEDY)
        text = "".join(reply.text for reply in said if isinstance(reply, Delta))
        if text != self.answer or not isinstance(last, Finished):
            self.tally.wrong.append(f"{text!r} {last}")
        return "answered"

    def _structured(self, model: WorkerModel, rng: random.Random) -> str:
        """Have a record written, most of which the schema dictates."""
        message = ChatMessage(role="user", content=self.question)
        options = {"seed": rng.randrange(1000), "num_predict": 200}
        *said, last = model.chat([message], format=SCHEMA, options=options)
        text = "".join(reply.text for reply in said if isinstance(reply, Delta))
        if not isinstance(last, Finished) or last.reason != "stop":
            self.tally.wrong.append(f"{text!r} {last}")
        elif list(json.loads(text)) != list(SCHEMA["required"]):
            self.tally.wrong.append(text)
        return "structured"

    def _cancelled(self, model: WorkerModel, rng: random.Random) -> str:
        flag = threading.Event()
        timer = threading.Timer(rng.uniform(0, 0.3), flag.set)
        timer.start()
        try:
            *_, last = model.generate("Hello", raw=True, options=ENDLESS, cancel=flag)
        finally:
            timer.cancel()
            timer.join()
        return str(last.reason)

    def _left(self, model: WorkerModel, rng: random.Random) -> str:
        with closing(model.generate("Hello", raw=True, options=ENDLESS)) as replies:
            for _ in range(rng.randrange(20)):
                if next(replies, None) is None:
                    break
        return "left"


def resident(pid: int) -> int:
    """Return how many KiB of memory the process *pid* has."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))
