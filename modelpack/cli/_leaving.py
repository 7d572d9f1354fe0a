"""How the program ends: with a line or two and an exit code where something went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from modelpack.errors import ModelPackError


def guarded(work: Callable[[], None]) -> None:
    """Do *work*; every error of ours becomes a line or two and an exit code."""
    try:
        work()
    except ModelPackError as error:
        sys.stdout.flush()
        sys.stderr.write(f"Error: {_one_line(str(error))}\n")
        if error.hint:
            sys.stderr.write(f"hint: {_one_line(error.hint)}\n")
        sys.exit(error.exit_code)


def leave_after(work: Callable[[], None]) -> NoReturn:
    """Do *work* as a program, and leave at once.

    Taking the interpreter apart takes longer than many a command.
    """
    try:
        work()
    except SystemExit as leaving:
        code = leaving.code
    else:
        code = 0
    if not isinstance(code, int):
        sys.exit(code)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read it has left
        code = code or 1
    os._exit(code)


def _one_line(text: str) -> str:
    """Keep what came from outside from writing control sequences to the terminal."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
