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
import traceback
from collections.abc import Iterable
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from modelpack.engine import llamacpp
from modelpack.engine.base import Finished
from modelpack.errors import EngineError, ModelPackError
from modelpack.runtime.options import load_options_from
from modelpack.runtime.prompts import Parameters, Prepared, Prompts, now
from modelpack.runtime.worker.frames import Frames
from modelpack.runtime.worker.messages import (
    Ask,
    ask_from_json,
    error_to_json,
    files_from_json,
    reply_to_json,
)

if TYPE_CHECKING:
    from modelpack.engine.llamacpp import Engine

_SWITCH_S = 0.0005
"""How long a thread may keep the engine's from going on."""


class Steps:
    """Steps the engine while there is something to do, and tells the parent what came of it."""

    def __init__(self, engine: Engine, frames: Frames) -> None:
        self._engine = engine
        self._frames = frames
        self._new: SimpleQueue[tuple[int, Prepared | None]] = SimpleQueue()
        self._asked: dict[int, tuple[int, Prepared]] = {}
        """What the loop calls each request, to what the parent calls it."""

    def begin(self, number: int, prepared: Prepared) -> None:
        """Let the request *number* be answered."""
        self._new.put((number, prepared))

    def cancel(self, number: int) -> None:
        """End the request *number*, if it has not ended."""
        self._new.put((number, None))

    def run(self) -> None:
        """Go on for ever."""
        loop = self._engine.loop
        while True:
            said = self._take(wait=not loop.busy)
            try:
                events = loop.step()
            except EngineError as error:
                said += [error_to_json(number, error) for number, _ in self._asked.values()]
                for inner in list(self._asked):
                    loop.cancel(inner)
                self._asked.clear()
            else:
                said += self._told(events)
            if said:
                self._frames.send(said)

    def _take(self, *, wait: bool) -> list[list[object]]:
        said: list[list[object]] = []
        try:
            while True:
                number, prepared = self._new.get(block=wait)
                wait = False
                if prepared is None:
                    self._cancel(number)
                    continue
                try:
                    inner = self._engine.loop.submit(prepared.request)
                except EngineError as error:
                    said.append(error_to_json(number, error))
                else:
                    self._asked[inner] = (number, prepared)
        except Empty:
            return said

    def _cancel(self, number: int) -> None:
        for inner, (outer, _) in self._asked.items():
            if outer == number:
                self._engine.loop.cancel(inner)

    def _told(self, events: Iterable[tuple[int, Any]]) -> list[list[object]]:
        said: list[list[object]] = []
        for inner, event in events:
            if inner not in self._asked:
                continue
            number, prepared = self._asked[inner]
            said += [reply_to_json(number, reply) for reply in prepared.read(event)]
            if isinstance(event, Finished):
                del self._asked[inner]
        return said


class Desk:
    """Takes what the parent says."""

    def __init__(self, prompts: Prompts, parameters: Parameters, frames: Frames) -> None:
        self._prompts = prompts
        self._parameters = parameters
        self._frames = frames

    def serve(self, steps: Steps) -> None:
        """Take requests until the parent is gone."""
        while True:
            said = self._frames.receive()
            if not isinstance(said, dict):
                return
            if "cancel" in said:
                steps.cancel(int(said["cancel"]))
                continue
            ask = ask_from_json(said)
            try:
                prepared = self._prepare(ask)
            except ModelPackError as error:
                self._frames.send([error_to_json(ask.number, error)])
            else:
                steps.begin(ask.number, prepared)

    def _prepare(self, ask: Ask) -> Prepared:
        parameters = {**self._parameters, **ask.options}
        if ask.raw is not None:
            return self._prompts.text(ask.raw, parameters)
        return self._prompts.chat(
            ask.messages, parameters, tools=ask.tools, think=ask.think, format=ask.format
        )


def main(descriptor: int) -> None:
    """Work for whoever holds the other end of the socket *descriptor*."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent, which says what to end
    frames = Frames(socket.socket(fileno=descriptor))
    hello: Any = frames.receive()
    files, parameters = files_from_json(hello["files"]), hello["parameters"]
    try:
        options = load_options_from(files, {**files.parameters, **parameters})
        engine = llamacpp.load(replace(options, slots=hello["parallel"]))
        prompts = Prompts(files, engine, now)
    except ModelPackError as error:
        frames.send([error_to_json(0, error)])
        return
    sys.setswitchinterval(_SWITCH_S)
    threading.excepthook = _die
    frames.send({"n_ctx": engine.n_ctx, "load_s": engine.load_s})
    steps = Steps(engine, frames)
    threading.Thread(target=_run, args=(steps,), name="engine", daemon=True).start()
    Desk(prompts, {**files.parameters, **parameters}, frames).serve(steps)


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
