"""`modelpack logout`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.ops.context import Context
from modelpack.ops.login import logins, logout


def main(registry: Annotated[str, typer.Argument(help="HOST[:PORT]")]) -> None:
    """Forget the password of a registry."""
    context = Context.create()
    if logout(context, registry):
        _console.out(f"Removed the login for {registry}")
    else:
        _console.out(f"Not logged in to {registry}")
    for place in logins(context, registry):
        _console.warn(f"{place} has a login for {registry}, too, and is used")
