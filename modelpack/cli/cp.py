"""`modelpack cp`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._server import elsewhere
from modelpack.client import models
from modelpack.ops.context import Context
from modelpack.ops.models import copy_name


def main(
    source: Annotated[str, typer.Argument(help="The model.")],
    destination: Annotated[str, typer.Argument(help="Its second name.")],
) -> None:
    """Give a model a second name."""
    context = Context.create()
    server = elsewhere(context)
    if server is None:
        copy_name(context, source, destination)
    else:
        models.copy(server, source, destination)
    _console.out(f"copied '{source}' to '{destination}'")
