"""The worker as its parent sees it: start it, ask it, end it, and say what it died of."""

from __future__ import annotations

import importlib.util
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from modelpack import limits
from modelpack.engine.base import Finished
from modelpack.errors import EngineError, MissingExtraError, ModelPackError
from modelpack.runtime.worker.frames import Frames
from modelpack.runtime.worker.messages import (
    Piece,
    Wish,
    error_from_json,
    files_to_json,
    replies_from_json,
    wish_to_json,
)

if TYPE_CHECKING:
    from types import TracebackType

    from modelpack.engine.base import Flag
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prompts import Parameters

    Mailbox = queue.SimpleQueue[Piece | ModelPackError]

_NEEDED = ("llama_cpp", "numpy", "jinja2", "gotpl")
_CHILD = "modelpack.runtime.worker.child"
_TICK_S = 0.05
_LAST_WORDS = 64 * 1024


class Worker:
    """A model in a process of its own; any thread may ask it.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: the model cannot be loaded.
    """

    def __init__(self, files: ModelFiles, parameters: Parameters, *, parallel: int = 1) -> None:
        _require_runtime()
        self.name = files.name
        self._lock = threading.Lock()
        self._boxes: dict[int, Mailbox] = {}
        self._numbers = 0
        self._heard_at = time.monotonic()
        self._hung = False
        self._cause: ModelPackError | None = None
        self._reader: threading.Thread | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                process_group=0,  # Ctrl-C is for us
            )
        self._frames = Frames(ours)
        try:
            hello = {"files": files_to_json(files), "parameters": dict(parameters)}
            ready = self._greet({**hello, "parallel": parallel})
        except BaseException:
            self.close()
            raise
        self.processor = str(ready["processor"])
        """What computes, as Ollama says it (`100% CPU`); empty where that is not known."""
        self.n_ctx = int(ready["n_ctx"])
        """Tokens of context of one conversation, or of the longest text."""
        self.load_s = float(ready["load_s"])
        """How long loading took, without starting the process."""
        ours.settimeout(1.0)
        self._reader = threading.Thread(target=self._read, name="worker", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._cause is None and self._process.poll() is None

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
        if self._cause is None:
            self._cause = EngineError(f"the model {self.name!r} was unloaded")
        with suppress(OSError):
            self._frames.shut()
        try:
            self._process.wait(limits.WORKER_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._tell_all(self._cause)
        if self._reader is not None:
            self._reader.join()
        self._frames.close()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _greet(self, hello: dict[str, object]) -> dict[str, Any]:
        with suppress(OSError):  # its end says more
            self._frames.send(hello)
        said = self._frames.receive()
        if isinstance(said, dict):
            return said
        if isinstance(said, list):
            raise error_from_json(said[0][2])
        raise self._post_mortem()

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
                    self._process.kill()
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
        self._tell_all(self._post_mortem())

    def _tell_all(self, cause: ModelPackError) -> None:
        with self._lock:
            self._cause = self._cause or cause
            boxes = list(self._boxes.values())
        for box in boxes:
            box.put(self._cause)

    def _post_mortem(self) -> EngineError:
        """Return the error for a worker that has ended by itself."""
        try:
            code = self._process.wait(limits.WORKER_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        said = self._last_words()
        if self._hung:
            silence = f"{limits.WORKER_SILENCE_S:.0f} s"
            return EngineError(f"the model {self.name!r} has not answered for {silence}")
        if code == -signal.SIGKILL:
            return EngineError(
                f"the process of the model {self.name!r} was killed",
                hint="probably memory ran out; a smaller num_ctx or model needs less",
            )
        what = f"signal {-code}" if code < 0 else f"exit code {code}"
        return EngineError(f"the process of the model {self.name!r} crashed ({what}){said}")

    def _last_words(self) -> str:
        if self._stderr.closed:
            return ""
        size = self._stderr.seek(0, 2)
        self._stderr.seek(max(0, size - _LAST_WORDS))
        lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        last = [" ".join(line.split()) for line in lines if line.strip()]
        telling = [line for line in last if "GGML_ASSERT" in line or "Error" in line]
        return f": {(telling or last)[-1][:300]}" if last else ""


def _require_runtime() -> None:
    """Look for what the child imports, which costs less than to start it in vain."""
    try:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    except ImportError as error:
        raise MissingExtraError("running a model", "runtime") from error
    if missing:
        raise MissingExtraError("running a model", "runtime")
