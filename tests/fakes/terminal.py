"""A real terminal, of which the test is the person."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from typing import Self

import pytest

_LOGIN = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, "-m", "modelpack", *sys.argv[1:]])
"""


class Terminal:
    """`modelpack` on a terminal of its own; ends with the `with` block."""

    def __init__(self, *words: str) -> None:
        self.master, self._slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOGIN, *words],
            stdin=self._slave,
            env={**os.environ, "TERM": "dumb", "MODELPACK_NOHISTORY": "1"},
        )
        os.close(self._slave)
        self.screen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self, answer: str) -> None:
        """Press Ctrl-C until *answer* comes: one just before a line is read goes unheard."""
        for _ in range(60):
            self.type("\x03")
            try:
                self.wait_for(answer, 0.5)
            except AssertionError:
                continue
            return
        pytest.fail(f"Ctrl-C is not answered with {answer!r}: {self.screen[-500:]!r}")

    def wait_for(self, text: str, seconds: float = 30) -> str:
        """Return what was shown up to *text*, and forget it."""
        deadline = time.monotonic() + seconds
        while text not in self.screen:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.master], [], [], left)[0]
            assert ready, f"{text!r} did not come: {self.screen[-500:]!r}"
            self.screen += os.read(self.master, 65536).decode(errors="replace")
        shown, _, self.screen = self.screen.partition(text)
        return shown

    def read_rest(self) -> None:
        """Take in what was shown since."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.screen += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                return

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self._process.wait(30)
