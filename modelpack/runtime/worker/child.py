"""The program of a worker: loads one model, and answers what its parent asks.

Started by `process` with the number of an open socket. One thread owns the engine and steps it; the
main thread takes requests and turns them into tokens. A third sleeps until the parent is gone, and
ends the process at once, whatever the others are doing.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import asdict
from typing import Any

from modelpack.errors import ModelPackError
from modelpack.runtime.worker.desk import Desk
from modelpack.runtime.worker.frames import Frames
from modelpack.runtime.worker.hosted import Model
from modelpack.runtime.worker.messages import error_to_json, files_from_json
from modelpack.runtime.worker.steps import Steps

_TELL_EVERY_S = 0.5
"""How often the parent hears how far loading is."""
_SWITCH_S = 0.0005
"""How long a thread may keep the engine's from going on."""


def main(descriptor: int) -> None:
    """Work for whoever holds the other end of the socket *descriptor*."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent, which says what to end
    threading.Thread(target=_end_with, args=(descriptor,), name="watch", daemon=True).start()
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
    ready = {name: getattr(model, name) for name in ("n_ctx", "load_s", "slots", "capabilities")}
    frames.send({**ready, **asdict(model.memory)})
    steps = Steps(model.engine.loop if model.engine is not None else None, frames)
    threading.Thread(target=_run, args=(steps,), name="engine", daemon=True).start()
    Desk(model, frames, steps).serve()


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


def _end_with(descriptor: int) -> None:
    """End the process when the other end of the socket *descriptor* is closed.

    Nothing is asked for, so that what can be read wakes nobody: only that the end is there.
    """
    watched = select.poll()
    watched.register(descriptor, 0)
    watched.poll()
    os._exit(0)


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
