"""`modelpack du`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.ops.care import usage
from modelpack.ops.context import Context
from modelpack.store.usage import Usage


def main(
    models: Annotated[
        list[str] | None, typer.Argument(help="Show only these; default: all of them.")
    ] = None,
    as_json: PlainJson = False,
) -> None:
    """Show what models cost on the disk."""
    measured, unreadable = usage(Context.create(), models or ())
    for item in unreadable:
        _console.warn(f"{item}; its blobs are not counted as needed")
    if as_json:
        _console.json_out(_as_json(measured))
        return
    size = _console.format_size
    rows = [(c.name, size(c.size), size(c.shared), size(c.unique)) for c in measured.models]
    _console.table(("NAME", "SIZE", "SHARED", "UNIQUE"), rows)
    if models:
        return
    _console.out("")
    _console.table(
        ("ON DISK", "SIZE"),
        [
            ("needed by models", size(measured.needed)),
            ("needed by none", size(measured.unneeded)),
            ("unfinished", size(measured.leftovers)),
            ("total", size(measured.total)),
        ],
    )


def _as_json(measured: Usage) -> dict[str, object]:
    return {
        "models": [
            {"name": cost.name, "size": cost.size, "shared": cost.shared, "unique": cost.unique}
            for cost in measured.models
        ],
        "needed": measured.needed,
        "unneeded": measured.unneeded,
        "leftovers": measured.leftovers,
        "total": measured.total,
    }
