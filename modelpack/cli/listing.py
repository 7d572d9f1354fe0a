"""`modelpack list`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.cli._server import elsewhere
from modelpack.client import models as remote
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context, short_name
from modelpack.ops.listing import list_models

_SHOWN = 12


def main(
    prefix: Annotated[str, typer.Argument(help="Only names that start so.")] = "",
    as_json: PlainJson = False,
) -> None:
    """List the models in the store."""
    context = Context.create()
    server = elsewhere(context)
    models = _here(context, prefix) if server is None else remote.list_models(server, prefix)
    if as_json:
        _console.json_out(
            [
                {
                    "name": model.name,
                    "digest": f"sha256:{model.digest}",
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
            model.digest[:_SHOWN],
            _console.format_size(model.size),
            _console.age_of(model.modified),
        )
        for model in models
    ]
    _console.table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


def _here(context: Context, prefix: str) -> list[remote.Row]:
    return [
        remote.Row(
            name=short_name(Reference.parse(one.name)),
            digest=one.digest.hex,
            size=one.size,
            modified=one.modified,
        )
        for one in list_models(context, _console.warn, prefix)
    ]
