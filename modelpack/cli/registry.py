"""`modelpack registry`."""

from pathlib import Path
from typing import Annotated

import typer

from modelpack.cli import _console

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Run the embedded registry.",
)


@app.callback()
def main() -> None:
    """Run the embedded registry."""


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on.")] = "127.0.0.1:5000",
    root: Annotated[Path, typer.Option(help="Folder of the registry.")] = Path("registry"),
    htpasswd: Annotated[
        Path | None, typer.Option(help="File of users (bcrypt); without it, everybody may write.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
) -> None:
    """Serve the OCI distribution API over a folder until interrupted."""
    from modelpack.server.registry import RegistrySettings
    from modelpack.server.registry import serve as run

    settings = RegistrySettings(
        root=root, listen=listen, htpasswd=htpasswd, tls_cert=tls_cert, tls_key=tls_key
    )
    run(settings, lambda url: _console.note(f"registry of {root} is at {url}"))
