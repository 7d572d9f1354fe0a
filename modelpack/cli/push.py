"""`modelpack push`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import CaFile, Concurrency, Insecure, Json, Quiet, networked
from modelpack.cli._progress import mode_of, progress
from modelpack.ops.push import push


def main(
    model: Annotated[str, typer.Argument(help="The local model.")],
    destination: Annotated[
        str, typer.Argument(help="HOST/NAME[:TAG]; default: as the model is called.")
    ] = "",
    insecure: Insecure = False,
    ca_file: CaFile = "",
    concurrency: Concurrency = 4,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send a model to a registry."""
    context = networked(insecure=insecure, ca_file=ca_file, concurrency=concurrency)
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        reference, manifest = push(context, model, destination, report)
    _console.transferred(reference.name, manifest, quiet=quiet, as_json=as_json)
