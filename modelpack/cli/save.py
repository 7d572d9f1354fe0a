"""`modelpack save`."""

import sys
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from modelpack.cli import _console
from modelpack.cli._options import Json, Quiet
from modelpack.cli._progress import mode_of, progress
from modelpack.errors import InputError
from modelpack.ops.archive import save
from modelpack.ops.context import Context


def main(
    models: Annotated[list[str], typer.Argument(help="The local models.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A folder, a file ending in .tar, or - (stdout)."
        ),
    ],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write models to a folder or tar in OCI image layout."""
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        if output == "-":
            save(Context.create(), models, _stdout(as_json=as_json), report)
            return
        saved = save(Context.create(), models, Path(output), report)
    _console.moved(saved, quiet=quiet, as_json=as_json)


def _stdout(*, as_json: bool) -> BinaryIO:
    if as_json:
        raise InputError("stdout is for the tar or for JSON, not for both")
    if sys.stdout.isatty():
        raise InputError("a tar is nothing for a terminal", hint="write to a file: -o PATH.tar")
    return cast("BinaryIO", sys.stdout.buffer)
