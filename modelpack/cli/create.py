"""`modelpack create`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import Quiet
from modelpack.cli._progress import mode_of, progress
from modelpack.cli._server import elsewhere
from modelpack.cli.build import read_modelfile
from modelpack.client.creating import create_from
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context


def main(
    model: Annotated[str, typer.Argument(help="Name of the result.")],
    file: Annotated[
        str, typer.Option("--file", "-f", help="The Modelfile; - reads it from stdin.")
    ] = "",
    quiet: Quiet = False,
) -> None:
    """Build a model where the server has its models."""
    source, folder = read_modelfile(file, None)
    context = Context.create()
    server = elsewhere(context)
    with progress(mode_of(quiet=quiet, as_json=False)) as report:
        if server is not None:
            create_from(server, model, source, folder, report)
        else:
            build(context, source, BuildOptions(context=folder, tags=[model]), report)
    _console.note(f"created '{model}'")
