"""`modelpack load`."""

from pathlib import Path
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import Json, Quiet
from modelpack.cli._progress import mode_of, progress
from modelpack.ops.archive import load
from modelpack.ops.context import Context


def main(
    path: Annotated[Path, typer.Argument(help="A folder or tar in OCI image layout.")],
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
        loaded = load(Context.create(), path, name, report)
    _console.moved(loaded, quiet=quiet, as_json=as_json)
