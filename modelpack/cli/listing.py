"""`modelpack list`."""

import sys
from collections.abc import Sequence
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
    models = _models(Context.create(), prefix)
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
    sys.stdout.write(_table(models))


def listed(context: Context, prefix: str) -> str:
    """Return the table of models whose name starts with *prefix*."""
    return _table(_models(context, prefix))


def _models(context: Context, prefix: str) -> list[remote.Row]:
    server = elsewhere(context)
    return _here(context, prefix) if server is None else remote.list_models(server, prefix)


def _table(models: Sequence[remote.Row]) -> str:
    rows = [
        (
            model.name,
            model.digest[:_SHOWN],
            _console.format_size(model.size),
            _console.age_of(model.modified),
        )
        for model in models
    ]
    return _console.table_text(("NAME", "ID", "SIZE", "MODIFIED"), rows)


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
