"""`modelpack rm`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._server import elsewhere
from modelpack.client import models as remote
from modelpack.ops.context import Context
from modelpack.ops.models import remove


def main(models: Annotated[list[str], typer.Argument(help="The models.")]) -> None:
    """Remove models."""
    context = Context.create()
    server = elsewhere(context)
    if server is not None:
        for name in models:
            remote.remove(server, name)
            _console.out(f"deleted '{name}'")
        return
    removed, freed = remove(context, models)
    for reference in removed:
        _console.out(f"deleted '{reference.name}'")
    _console.note(f"freed {_console.format_size(freed)}")
