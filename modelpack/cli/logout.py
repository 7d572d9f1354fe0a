"""`modelpack logout`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.ops.context import Context
from modelpack.ops.login import logout


def main(registry: Annotated[str, typer.Argument(help="HOST[:PORT]")]) -> None:
    """Forget the password of a registry."""
    if logout(Context.create(), registry):
        _console.out(f"Removed the login for {registry}")
    else:
        _console.out(f"Not logged in to {registry}")
