"""The program of a worker: loads one model, and answers what its parent asks.

Started by `process` with the number of an open socket. One thread owns the engine and steps it; the
main thread takes requests, turns them into tokens, and ends the process at once when the parent is
gone, whatever the engine is doing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelpack.engine import llamacpp
from modelpack.engine.embedding import embedder_beside, load_embedder
from modelpack.engine.loading import Progress
from modelpack.engine.purpose import purpose_of_file
from modelpack.errors import InputError, ModelPackError, NotFoundError
from modelpack.runtime.embedded import require
from modelpack.runtime.options import load_options_from
from modelpack.runtime.placement.devices import read_system
from modelpack.runtime.placement.plan import plan
from modelpack.runtime.prompts import Parameters, Prompts, now
from modelpack.runtime.vectors import VectorModel
from modelpack.runtime.worker.frames import Frames
from modelpack.runtime.worker.messages import (
    AskScores,
    AskVectors,
    Wish,
    error_to_json,
    files_from_json,
    wish_from_json,
)
from modelpack.runtime.worker.steps import Steps, Work

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions
    from modelpack.engine.llamacpp import Engine
    from modelpack.runtime.model import ModelFiles

_TELL_EVERY_S = 0.5
"""How often the parent hears how far loading is."""
_SWITCH_S = 0.0005
"""How long a thread may keep the engine's from going on."""


class Model:
    """What a worker has loaded: an engine that writes, and what makes vectors.

    A model that writes makes vectors too, in a context of its own over the same weights. That is
    made when the first vector is asked for.
    """

    def __init__(
        self,
        files: ModelFiles,
        parameters: Parameters,
        parallel: int,
        progress: Progress | None = None,
    ) -> None:
        self._files = files
        self._options = load_options_from(files, parameters)
        self._parameters = parameters
        self._purpose = purpose_of_file(files.weights[0]) if files.weights else "text"
        self._vectors: VectorModel | None = None
        self.engine: Engine | None = None
        self.processor = ""
        """What computes, as Ollama says it; empty where that is not known."""
        if self._purpose != "text":
            self.n_ctx, self.load_s = self._maker().n_ctx, self._maker().load_s
            return
        options, self.processor = _placed(files, replace(self._options, slots=parallel))
        self.engine = llamacpp.load(options, progress)
        self.n_ctx, self.load_s = self.engine.n_ctx, self.engine.load_s
        self._prompts = Prompts(files, self.engine, now)

    def prepare(self, wish: Wish) -> Work:
        """Return what is to be computed for *wish*.

        Raises:
            ModelPackError: it cannot be answered.
        """
        name = self._files.name
        if isinstance(wish, AskVectors):
            require("vectors", self._purpose, name)
            return self._maker().embedding(
                wish.texts,
                truncate=wish.truncate,
                dimensions=wish.dimensions,
                normalize=wish.normalize,
            )
        if isinstance(wish, AskScores):
            require("ranks", self._purpose, name)
            return self._maker().ranking(wish.query, wish.documents)
        require("text", self._purpose, name)
        parameters = {**self._parameters, **wish.options}
        if wish.raw is not None:
            return self._prompts.text(wish.raw, parameters)
        return self._prompts.chat(
            wish.messages, parameters, tools=wish.tools, think=wish.think, format=wish.format
        )

    def _maker(self) -> VectorModel:
        if self._vectors is None:
            if self.engine is None:
                embedder = load_embedder(self._options)
            else:
                embedder = embedder_beside(self.engine, self._options)
            self._vectors = VectorModel(self._files.name, embedder)
        return self._vectors


def serve(model: Model, frames: Frames, steps: Steps) -> None:
    """Take requests until the parent is gone."""
    while True:
        said = frames.receive()
        if not isinstance(said, dict):
            return
        if "cancel" in said:
            steps.cancel(int(said["cancel"]))
            continue
        wish = wish_from_json(said)
        try:
            work = model.prepare(wish)
        except ModelPackError as error:
            frames.send([error_to_json(wish.number, error)])
        else:
            steps.begin(wish.number, work)


def _placed(files: ModelFiles, options: LoadOptions) -> tuple[LoadOptions, str]:
    """Return *options* with as many layers on GPUs as fit, and what computes.

    Where llama.cpp uses devices whose memory nobody tells us, it is left to it.

    Raises:
        EngineError: there is not enough memory.
    """
    can_offload = bool(llamacpp.library().llama_supports_gpu_offload())
    system = read_system(can_offload=can_offload)
    if can_offload and not system.devices:
        return options, ""
    try:
        placement = plan(files, options, system)
    except (NotFoundError, InputError):  # loading says what is wrong with a file
        return options, ""
    return replace(options, n_gpu_layers=placement.n_gpu_layers), placement.processor


def main(descriptor: int) -> None:
    """Work for whoever holds the other end of the socket *descriptor*."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent, which says what to end
    frames = Frames(socket.socket(fileno=descriptor))
    hello: Any = frames.receive()
    files, parameters = files_from_json(hello["files"]), hello["parameters"]
    try:
        model = Model(
            files, {**files.parameters, **parameters}, hello["parallel"], _Loading(frames)
        )
    except ModelPackError as error:
        frames.send([error_to_json(0, error)])
        return
    sys.setswitchinterval(_SWITCH_S)
    threading.excepthook = _die
    ready = {"n_ctx": model.n_ctx, "load_s": model.load_s, "processor": model.processor}
    frames.send(ready)
    steps = Steps(model.engine.loop if model.engine is not None else None, frames)
    threading.Thread(target=_run, args=(steps,), name="engine", daemon=True).start()
    serve(model, frames, steps)


class _Loading:
    """Tells the parent how far loading is, now and then."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._next = time.monotonic() + _TELL_EVERY_S

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _TELL_EVERY_S
            self._frames.send({"progress": done})


def _run(steps: Steps) -> None:
    try:
        steps.run()
    except OSError:  # the parent is gone
        os._exit(0)


def _die(failure: threading.ExceptHookArgs) -> None:
    """End the process: what cannot step its engine is of no use."""
    if failure.exc_value is not None:
        traceback.print_exception(failure.exc_value)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)
