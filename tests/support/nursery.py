"""Processes that begin at once, with everything imported, and may be killed.

A helper process imports what the work needs and forks for each piece of it, so that killing a
hundred times costs no hundred interpreters. It has no threads when it forks.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Self

TESTS = Path(__file__).parents[1]


class Nursery:
    """Runs functions `module:name` in processes of their own; ends with the `with` block."""

    def __init__(self, *modules: str) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the block
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.nursery", *modules],
            cwd=TESTS.parent,
            env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._line() == "ready", self.said()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._process:
            self._process.kill()
        self._said.close()

    def kill(self, after_s: float, work: str, *arguments: object) -> None:
        """Let *work* begin, and kill it after *after_s* seconds; it must not have ended before."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([work, *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        child = int(self._line())
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)  # nobody else has this number: it is not waited for yet
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        status = int(self._line())
        assert os.WIFSIGNALED(status), self.said()
        assert os.WTERMSIG(status) == signal.SIGKILL, self.said()

    def said(self) -> str:
        """Return what the processes wrote about their failures."""
        self._said.seek(0)
        return self._said.read()[-4000:]

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _serve() -> None:
    for name in sys.argv[1:]:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        work, *arguments = json.loads(line)
        child = os.fork()
        if not child:
            _work(work, arguments)
        print(child, flush=True)
        sys.stdin.readline()  # it is killed now
        print(os.waitpid(child, 0)[1], flush=True)


def _work(work: str, arguments: list[str]) -> None:
    try:
        module, _, name = work.partition(":")
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        getattr(importlib.import_module(module), name)(*arguments)
    except BaseException:  # noqa: BLE001 - it must not come back into the loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    _serve()
