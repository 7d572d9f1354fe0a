"""`modelpack keys`."""

from pathlib import Path
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.content.disk import expanded
from modelpack.errors import InputError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Make and remove API keys of the model server.",
)

_File = Annotated[
    Path | None,
    typer.Option("--file", envvar="MODELPACK_API_KEYS_FILE", help="Where their hashes are."),
]


@app.callback()
def main() -> None:
    """Make and remove API keys of the model server."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        str, typer.Option(help="What it allows: infer, manage, metrics; commas between.")
    ] = "infer",
    file: _File = None,
) -> None:
    """Make a key and print it; it is shown once, and kept nowhere."""
    from modelpack.server.daemon.keys import add_key

    secret = add_key(_file(file), name, scope.split(","))
    _console.note(f"the key of {name} allows {scope}; it cannot be shown again:")
    _console.out(secret)


@app.command("list")
def list_(file: _File = None, as_json: PlainJson = False) -> None:
    """List whose keys there are, and what they allow."""
    from modelpack.server.daemon.keys import read_keys

    keys = read_keys(_file(file))
    if as_json:
        _console.json_out([{"name": key.name, "scopes": list(key.scopes)} for key in keys])
        return
    _console.table(("NAME", "SCOPES"), [(key.name, ",".join(key.scopes)) for key in keys])


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Whose key.")], file: _File = None) -> None:
    """Forget a key; a running server no longer lets it in."""
    from modelpack.server.daemon.keys import remove_key

    remove_key(_file(file), name)
    _console.note(f"removed the key of {name}")


def _file(file: Path | None) -> Path:
    if file is None:
        raise InputError(
            "no file of keys is named", hint="give --file, or set MODELPACK_API_KEYS_FILE"
        )
    return expanded(str(file))
