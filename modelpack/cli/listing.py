"""`modelpack list`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.ops.context import Context
from modelpack.ops.models import list_models


def main(
    prefix: Annotated[str, typer.Argument(help="Only names that start so.")] = "",
    as_json: PlainJson = False,
) -> None:
    """List the models in the store."""
    entries = list_models(Context.create(), _console.warn, prefix)
    if as_json:
        _console.json_out(
            [
                {
                    "name": entry.reference.name,
                    "digest": str(entry.manifest.digest),
                    "size": entry.manifest.size,
                    "modified": entry.modified,
                }
                for entry in entries
            ]
        )
        return
    rows = [
        (
            entry.reference.name,
            entry.manifest.digest.short,
            _console.format_size(entry.manifest.size),
            _console.age_of(entry.modified),
        )
        for entry in entries
    ]
    _console.table(("NAME", "ID", "SIZE", "MODIFIED"), rows)
