"""`modelpack service`."""

from pathlib import Path
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._server import server
from modelpack.config import Settings
from modelpack.ops import service

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Run the model server as a service of systemd.",
)

_Root = Annotated[
    Path, typer.Option("--root", help="Install into this folder, for an image; nothing is started.")
]


@app.callback()
def main() -> None:
    """Run the model server as a service of systemd."""


@app.command()
def install(
    root: _Root = Path("/"),
    program: Annotated[str, typer.Option(help="The program to run; default: this one.")] = "",
    show: Annotated[bool, typer.Option("--print", help="Only print the unit.")] = False,
) -> None:
    """Write a unit, make the user modelpack, and start the service."""
    chosen = program or service.this_program()
    if show:
        _console.out(service.unit_text(chosen).rstrip())
        return
    service.install(service.Installation(root), chosen, _console.note)


@app.command()
def uninstall(root: _Root = Path("/")) -> None:
    """Stop the service and remove its unit; the models stay."""
    service.uninstall(service.Installation(root), _console.note)


@app.command()
def status() -> None:
    """Tell whether the service is installed, runs and answers."""
    enabled, active = service.status()
    client = server(Settings.from_environment())
    said = client.version()
    answer = f"version {said.get('version', '')}" if said else "no answer"
    rows = [("installed", enabled), ("running", active), (client.address.url, answer)]
    for name, value in rows:
        _console.out(f"{name:<32} {value}")
    if not said:
        raise typer.Exit(1)
