"""`modelpack pull`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import CaFile, Concurrency, Insecure, Json, Quiet, networked
from modelpack.cli._progress import mode_of, progress
from modelpack.ops.pull import pull


def main(
    model: Annotated[str, typer.Argument(help="HOST/NAME[:TAG][@DIGEST]")],
    insecure: Insecure = False,
    ca_file: CaFile = "",
    concurrency: Concurrency = 4,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model from a registry."""
    context = networked(insecure=insecure, ca_file=ca_file, concurrency=concurrency)
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        reference, manifest = pull(context, model, report)
    _console.transferred(reference.name, manifest, quiet=quiet, as_json=as_json)
