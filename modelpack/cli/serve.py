"""`modelpack serve`."""

import os
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.ops.context import Context
from modelpack.server.daemon.settings import VARIABLES, ServeSettings, value_of


def _epilog() -> str:
    """Return every variable with its meaning and value."""
    rows = []
    for variable in VARIABLES:
        name = f"MODELPACK_{variable.name}"
        value = value_of(variable, os.environ) or "(none)"
        rows.append(f"  {name:<28} {variable.meaning} [{value}]")
    return "\n".join(rows)


class _Command(typer.core.TyperCommand):
    """Shows the variables behind the options."""

    def format_epilog(self, ctx, formatter):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Write the variables as they stand."""
        del ctx
        with formatter.section("Environment (where unset, OLLAMA_ in place of MODELPACK_)"):
            formatter.write(_epilog() + "\n")


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("serve", cls=_Command)
def main(
    no_auth: Annotated[
        bool,
        typer.Option("--no-auth", help="Let everybody in who reaches the address, without keys."),
    ] = False,
) -> None:
    """Serve models: Ollama's, OpenAI's and Anthropic's APIs."""
    from modelpack.server.daemon.listener import serve

    settings = ServeSettings.from_environment(os.environ, no_auth=no_auth)
    serve(Context.create(), settings, lambda url: _console.note(f"serving models at {url}"))
