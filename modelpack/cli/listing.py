"""`modelpack list`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.ops.context import Context
from modelpack.ops.listing import list_models


def main(
    prefix: Annotated[str, typer.Argument(help="Only names that start so.")] = "",
    as_json: PlainJson = False,
) -> None:
    """List the models in the store."""
    models = list_models(Context.create(), _console.warn, prefix)
    if as_json:
        _console.json_out(
            [
                {
                    "name": model.name,
                    "digest": str(model.digest),
                    "size": model.size,
                    "modified": model.modified,
                }
                for model in models
            ]
        )
        return
    rows = [
        (
            model.name,
            model.digest.short,
            _console.format_size(model.size),
            _console.age_of(model.modified),
        )
        for model in models
    ]
    _console.table(("NAME", "ID", "SIZE", "MODIFIED"), rows)
