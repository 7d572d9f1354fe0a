"""The process of a worker: start it, hear that its model is loaded, end it, say what it died of.

Whoever has one reads what it brings: `process` with a thread, the server without.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from modelpack import limits
from modelpack.engine import waiting
from modelpack.engine.closing import Closing
from modelpack.errors import EngineError, MissingExtraError, ModelPackError
from modelpack.runtime.worker.frames import Frames
from modelpack.runtime.worker.messages import error_from_json, files_to_json

if TYPE_CHECKING:
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.prompts import Parameters

Progress: TypeAlias = Callable[[float], None]
"""Is told how much of a model is loaded, from 0 to 1."""

_NEEDED = ("llama_cpp", "numpy", "jinja2", "gotpl")
_CHILD = "modelpack.runtime.worker.child"
_LAST_WORDS = 64 * 1024
_MALLOC = "GLIBC_TUNABLES"
_HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Memory in huge pages where the kernel gives them to who asks; glibc 2.35 and later."""


class WorkerDiedError(EngineError):
    """A worker has ended by itself, or was killed: what it was doing may succeed elsewhere."""


class Child(Closing):
    """A process that has loaded a model. `stall_s` bounds how long loading may say nothing.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: the model cannot be loaded, or `end` was called meanwhile.
    """

    def __init__(
        self,
        files: ModelFiles,
        parameters: Parameters,
        *,
        parallel: int = 1,
        stall_s: float | None = None,
        progress: Progress | None = None,
        started: Callable[[Child], None] | None = None,
    ) -> None:
        _require_runtime()
        self.name = files.name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                process_group=0,  # Ctrl-C is for us
                env=worker_environment(),
            )
        self.frames = Frames(self.socket)
        try:
            if started is not None:
                started(self)
            self.socket.settimeout(stall_s)
            hello = {"files": files_to_json(files), "parameters": dict(parameters)}
            ready = self._greet({**hello, "parallel": parallel}, progress)
            self.socket.settimeout(None)
        except BaseException:
            self.close()
            raise
        self.processor = str(ready["processor"])
        """What computes, as Ollama says it (`100% CPU`); empty where that is not known."""
        self.n_ctx = int(ready["n_ctx"])
        """Tokens of context of one conversation, or of the longest text."""
        self.load_s = float(ready["load_s"])
        """How long loading took, without starting the process."""
        self.slots = int(ready["slots"])
        """Answers that are written at the same time."""
        self.capabilities = tuple(map(str, ready["capabilities"]))
        """What the model can do besides answering: `tools`, `thinking`, `insert`, `vision`."""
        self.size = int(ready["size"])
        """Bytes of memory that the model takes, as estimated from its header; 0: not known."""
        self.size_vram = int(ready["size_vram"])
        """Bytes of them on GPUs."""

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process; any thread may, also while the model is being loaded."""
        self._process.kill()

    def leave(self) -> None:
        """Let the process end, and kill it where it does not; its memory is free afterwards."""
        with suppress(OSError):
            self.frames.shut()
        try:
            self._process.wait(limits.WORKER_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process; a second time does nothing."""
        self.leave()
        self.frames.close()
        self._stderr.close()

    def post_mortem(self, *, hung: bool = False) -> WorkerDiedError:
        """Return the error for a process that has ended by itself, or *hung* and was killed."""
        try:
            code = self._process.wait(limits.WORKER_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        said = self._last_words()
        if hung:
            silence = f"{limits.WORKER_SILENCE_S:.0f} s"
            return WorkerDiedError(f"the model {self.name!r} has not answered for {silence}")
        if code == -signal.SIGKILL:
            return WorkerDiedError(
                f"the process of the model {self.name!r} was killed",
                hint="probably memory ran out; a smaller num_ctx or model needs less",
            )
        what = f"signal {-code}" if code < 0 else f"exit code {code}"
        return WorkerDiedError(f"the process of the model {self.name!r} crashed ({what}){said}")

    def _greet(self, hello: dict[str, object], progress: Progress | None) -> dict[str, Any]:
        with suppress(OSError):  # its end says more
            self.frames.send(hello)
        while True:
            try:
                said = self.frames.receive()
            except TimeoutError:
                self._process.kill()
                raise _stalled(self.name, self.socket.gettimeout()) from None
            if isinstance(said, list):
                raise error_from_json(said[0][2])
            if not isinstance(said, dict):
                raise self.post_mortem()
            if "progress" not in said:
                return said
            if progress is not None:
                progress(float(said["progress"]))

    def _last_words(self) -> str:
        if self._stderr.closed:
            return ""
        size = self._stderr.seek(0, 2)
        self._stderr.seek(max(0, size - _LAST_WORDS))
        lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        last = [" ".join(line.split()) for line in lines if line.strip()]
        telling = [line for line in last if "GGML_ASSERT" in line or "Error" in line]
        return f": {(telling or last)[-1][:300]}" if last else ""


def worker_environment() -> dict[str, str]:
    """Return ours, with how threads that compute together wait, see `modelpack.engine.waiting`.

    And weights that llama.cpp rearranges lie in huge pages: a token goes through all of them. What
    the user has set stays.
    """
    said = dict(os.environ)
    if not any(name in said for name in waiting.VARIABLES):
        said["GOMP_SPINCOUNT"] = waiting.spins()
    said.setdefault(_MALLOC, _HUGE_PAGES)
    return said


def _stalled(name: str, stall_s: float | None) -> ModelPackError:
    return EngineError(
        f"loading the model {name!r} made no progress for {stall_s or 0:.0f} s",
        hint="MODELPACK_LOAD_TIMEOUT allows for more",
    )


def _require_runtime() -> None:
    """Look for what the child imports, which costs less than to start it in vain."""
    try:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    except ImportError as error:
        raise MissingExtraError("running a model", "runtime") from error
    if missing:
        raise MissingExtraError("running a model", "runtime")
