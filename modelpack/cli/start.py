"""Where the program begins: models move without Typer, which takes longer to load than many do."""

from __future__ import annotations

import sys

from modelpack.later import put_off

with put_off("inspect", "copy"):
    import dataclasses  # noqa: F401 - it needs them for what we do not use

from modelpack.cli import _quick  # isort: skip
from modelpack.cli._leaving import guarded, leave_after


def main() -> None:
    """Run the command line; every error of ours becomes a line or two and an exit code."""
    wanted = _quick.parse(sys.argv[1:])
    if wanted is not None:
        guarded(wanted.run)
        sys.exit(0)  # as Typer does
    from modelpack.cli import app

    app.main()


def run() -> None:
    """Run the command line as a program."""
    leave_after(main)
