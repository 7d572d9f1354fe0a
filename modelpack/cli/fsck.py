"""`modelpack fsck`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import CaFile, CertFile, Insecure, Json, KeyFile, networked
from modelpack.cli._progress import mode_of, progress
from modelpack.ops.care import Checkup, fsck
from modelpack.store.survey import Unreadable


def main(
    models: Annotated[
        list[str] | None, typer.Argument(help="Check only these; default: the whole store.")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Fetch blobs that are damaged, unreadable or missing again from their "
            "registries, and remove damaged ones that no model needs; no others.",
        ),
    ] = False,
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    as_json: Json = False,
) -> None:
    """Check the store, and repair it from registries."""
    context = networked(insecure=insecure, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    with progress(mode_of(quiet=False, as_json=as_json)) as report:
        checkup = fsck(context, models or (), repair=repair, report=report)
    if as_json:
        _console.json_out(_as_json(checkup))
    else:
        _print(checkup)
    checkup.require_sound()


def _print(checkup: Checkup) -> None:
    for blob in checkup.repaired:
        how = f"fetched from {blob.origin}" if blob.origin else "removed, no model needs it"
        _console.out(f"repaired: {blob.digest} {how}")
    for trouble in checkup.troubles:
        _console.out(_console.printable(f"{trouble.kind}: {trouble}"))
    for item in checkup.unreadable:
        _console.out(_console.printable(f"unreadable: {item}"))
    for path in checkup.foreign:
        _console.out(_console.printable(f"foreign: {path}"))
    if checkup.unreferenced:
        size = _console.format_size(sum(checkup.unreferenced.values()))
        _console.out(
            f"unreferenced: {len(checkup.unreferenced)} blobs, {size}; "
            "`modelpack prune` removes them"
        )
    _console.out(f"checked {checkup.blobs} blobs, {_console.format_size(checkup.size)}")


def unreadable_json(unreadable: Sequence[Unreadable]) -> list[dict[str, str]]:
    """Return names that cannot be read as JSON objects."""
    return [
        {
            "path": _console.printable(item.path),
            "name": item.name,
            "problem": _console.printable(item.problem),
        }
        for item in unreadable
    ]


def _as_json(checkup: Checkup) -> dict[str, object]:
    return {
        "checked": {"blobs": checkup.blobs, "size": checkup.size},
        "repaired": [
            {"digest": str(blob.digest), "origin": blob.origin} for blob in checkup.repaired
        ],
        "troubles": [
            {
                "kind": trouble.kind,
                "digest": str(trouble.blob.digest),
                "problem": _console.printable(trouble.problem),
                "models": list(trouble.models),
            }
            for trouble in checkup.troubles
        ],
        "unreadable": unreadable_json(checkup.unreadable),
        "unreferenced": [
            {"digest": str(digest), "size": size} for digest, size in checkup.unreferenced.items()
        ],
        "foreign": [_console.printable(str(path)) for path in checkup.foreign],
    }
