"""A model server in this process, over a store that holds the example model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from modelpack.config import Settings
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context
from modelpack.server.daemon.listener import running
from modelpack.server.daemon.settings import ServeSettings

EXAMPLE = Path(__file__).parents[2] / "Modelfile.examples" / "tiny"
MODEL = "tiny"
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
LIGHT = {"MODELPACK_HOST": "127.0.0.1:0", "MODELPACK_NUM_PARALLEL": "4"}
GREEDY = {"temperature": 0, "num_thread": 1}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server answers, and what it serves."""

    url: str
    context: Context

    def ask(self, method: str, path: str, body: object = None, **more: object):
        """Send one request, with *body* as JSON if it is not bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"{self.url}{path}", data=data, timeout=60, **more)

    def post(self, path: str, **body: object) -> dict:
        """Return the answer to a request that is not streamed."""
        answer = self.ask("POST", path, {"stream": False, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lines(self, path: str, **body: object) -> list[dict]:
        """Return the lines of an answer."""
        answer = self.ask("POST", path, body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]


def context_of(models: Path) -> Context:
    """Return a context whose store is *models*."""
    environment = {"HOME": str(models), "MODELPACK_MODELS": str(models)}
    return Context.create(Settings.from_environment(environment))


def tiny_store(folder: Path) -> Context:
    """Build the example model into a store below *folder*."""
    context = context_of(folder / "models")
    source = (EXAMPLE / "Modelfile").read_bytes() + b"\nPARAMETER num_thread 1\n"
    build(context, source, BuildOptions(context=EXAMPLE, tags=[MODEL]))
    return context


@contextmanager
def serving(context: Context, **environment: str) -> Iterator[Served]:
    """Serve *context* under *environment*."""
    settings = ServeSettings.from_environment({**LIGHT, **environment})
    with running(context, settings) as url:
        yield Served(url, context)


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until *what* is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.01)
