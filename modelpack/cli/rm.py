"""`modelpack rm`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.ops.context import Context
from modelpack.ops.models import remove


def main(models: Annotated[list[str], typer.Argument(help="The models.")]) -> None:
    """Remove models."""
    removed, freed = remove(Context.create(), models)
    for reference in removed:
        _console.out(f"deleted '{reference.name}'")
    _console.note(f"freed {_console.format_size(freed)}")
