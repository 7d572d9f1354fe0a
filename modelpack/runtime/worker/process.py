"""The worker as its parent sees it: any thread asks it, one hands on what it brings."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.engine.base import Finished
from modelpack.engine.closing import Closing
from modelpack.errors import EngineError, ModelPackError
from modelpack.runtime.worker.messages import Piece, replies_from_json, wish_to_json
from modelpack.runtime.worker.spawn import Child

if TYPE_CHECKING:
    from modelpack.engine.base import Flag
    from modelpack.runtime.ask import Wish
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prompts import Parameters

    Mailbox = queue.SimpleQueue[Piece | ModelPackError]

_TICK_S = 0.05


class Worker(Closing):
    """A model in a process of its own; any thread may ask it.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: the model cannot be loaded.
    """

    def __init__(self, files: ModelFiles, parameters: Parameters, *, parallel: int = 1) -> None:
        self.name = files.name
        self._lock = threading.Lock()
        self._boxes: dict[int, Mailbox] = {}
        self._numbers = 0
        self._heard_at = time.monotonic()
        self._hung = False
        self._cause: ModelPackError | None = None
        self._child = Child(files, parameters, parallel=parallel)
        self._frames = self._child.frames
        self.processor = self._child.processor
        """What computes, as Ollama says it (`100% CPU`); empty where that is not known."""
        self.n_ctx = self._child.n_ctx
        """Tokens of context of one conversation, or of the longest text."""
        self.load_s = self._child.load_s
        """How long loading took, without starting the process."""
        self.capabilities = self._child.capabilities
        """What the model can do besides answering; see `Prompts.capabilities`."""
        self._child.socket.settimeout(1.0)
        self._reader = threading.Thread(target=self._read, name="worker", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._cause is None and self._child.is_running

    def ask(self, ask: Wish, cancel: Flag | None = None) -> Iterator[Piece]:
        """Yield the answer to *ask*, whose number is chosen here; `Finished` comes last.

        Closing the iterator early, or setting *cancel*, ends the answer at the next step.

        Raises:
            ModelPackError: what the worker says is wrong with *ask*.
            EngineError: the worker has died.
        """
        number, box = self._send(ask)
        cancelled = False
        try:
            while True:
                if cancel is not None and cancel.is_set() and not cancelled:
                    cancelled = True
                    self._cancel(number)
                try:
                    reply = box.get(timeout=None if cancel is None or cancelled else _TICK_S)
                except queue.Empty:
                    continue
                if isinstance(reply, ModelPackError):
                    raise reply
                yield reply
                if isinstance(reply, Finished):
                    return
        finally:
            if self._boxes.pop(number, None) is not None:
                self._cancel(number)

    def close(self) -> None:
        """End the process; its memory is free when this returns. A second time does nothing."""
        if self._child.is_running:  # else the reader learns why it has ended, and tells
            self._cause = self._cause or EngineError(f"the model {self.name!r} was unloaded")
            self._child.leave()
            self._tell_all(self._cause)
        self._reader.join()
        self._child.close()

    def _send(self, ask: Wish) -> tuple[int, Mailbox]:
        box: Mailbox = queue.SimpleQueue()
        with self._lock:
            if self._cause is not None:
                raise self._cause
            self._numbers += 1
            number = self._numbers
            if not self._boxes:
                self._heard_at = time.monotonic()
            self._boxes[number] = box
        try:
            self._frames.send(wish_to_json(replace(ask, number=number)))
        except OSError:
            pass  # the reader learns why
        except BaseException:
            self._boxes.pop(number, None)
            raise
        return number, box

    def _cancel(self, number: int) -> None:
        with suppress(OSError):
            self._frames.send({"cancel": number})

    def _read(self) -> None:
        """Hand on what comes, until nothing more does."""
        while True:
            try:
                frame = self._frames.receive()
            except TimeoutError:
                if self._boxes and time.monotonic() - self._heard_at > limits.WORKER_SILENCE_S:
                    self._hung = True
                    self._child.end()
                continue
            except (EngineError, OSError):
                frame = None
            if not isinstance(frame, list):
                break
            self._heard_at = time.monotonic()
            for number, reply in replies_from_json(frame):
                box = self._boxes.get(number)
                if box is not None:
                    box.put(reply)
        self._tell_all(self._child.post_mortem(hung=self._hung))

    def _tell_all(self, cause: ModelPackError) -> None:
        with self._lock:
            self._cause = self._cause or cause
            boxes = list(self._boxes.values())
        for box in boxes:
            box.put(self._cause)
