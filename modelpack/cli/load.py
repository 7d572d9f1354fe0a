"""`modelpack load`."""

import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from modelpack.cli import _console
from modelpack.cli._options import Json, Quiet
from modelpack.cli._progress import mode_of, progress
from modelpack.errors import InputError
from modelpack.ops.archive import load
from modelpack.ops.context import Context


def main(
    path: Annotated[
        str, typer.Argument(help="A folder or tar in OCI image layout; - reads a tar from stdin.")
    ] = "-",
    name: Annotated[
        str,
        typer.Option(
            "--tag", "-t", metavar="NAME", help="What to call the model; default: as it is called."
        ),
    ] = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch models from a folder or tar in OCI image layout."""
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        source = _stdin() if path == "-" else Path(path)
        loaded = load(Context.create(), source, name, report, _console.warn)
    _console.moved(loaded, quiet=quiet, as_json=as_json)


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise InputError("a tar does not come from a terminal", hint="name a folder or a tar")
    return sys.stdin.buffer
