"""`modelpack export`."""

from pathlib import Path
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import Json, Quiet
from modelpack.cli._progress import mode_of, progress
from modelpack.ops.context import Context
from modelpack.ops.export import export


def main(
    model: Annotated[str, typer.Argument(help="The local model.")],
    target: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="One file, also for a model built from split files.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the GGUF that a model was built from."""
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        files = export(Context.create(), model, target, merge=merge, report=report)
    if as_json:
        _console.json_out(
            [{"path": str(f.path), "digest": str(f.digest), "size": f.size} for f in files]
        )
        return
    for file in files:
        _console.out(str(file.digest) if quiet else f"{file.path}  {file.digest}")
