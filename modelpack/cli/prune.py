"""`modelpack prune`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.cli.fsck import unreadable_json
from modelpack.ops.care import prune
from modelpack.ops.context import Context
from modelpack.store.gc import Pruned


def main(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Also remove what a pull or push that broke off could go on with."
        ),
    ] = False,
    as_json: PlainJson = False,
) -> None:
    """Remove what no model needs."""
    pruned = prune(Context.create(), dry_run=dry_run, unfinished=unfinished)
    for item in pruned.unreadable:
        _console.warn(str(item))
    if pruned.unreadable:
        _console.warn(
            "no blob is removed, because these might need it: pull or build them again, remove "
            "them with `modelpack rm`, or delete the files that are no models; then prune again"
        )
    if pruned.busy:
        _console.warn(
            "something is built, pulled or pushed just now and may need some of this: until that "
            "is done nothing can be removed"
        )
    if as_json:
        _console.json_out(_as_json(pruned, dry_run=dry_run))
        return
    word = "would remove" if dry_run else "removed"
    for digest, count in pruned.blobs.items():
        _console.out(f"{word} {digest} ({_console.format_size(count)})")
    for file in pruned.leftovers:
        size = _console.format_size(file.size)
        _console.out(f"{word} unfinished {_console.printable(file.path.name)} ({size})")
    for referrer in pruned.referrers:
        _console.out(f"{word} {referrer.digest}, which is about {referrer.subject}")
    for folder in pruned.folders:
        _console.out(f"{word} empty folder {_console.printable(str(folder))}")
    if pruned.awaited:
        size = _console.format_size(pruned.awaited)
        _console.note(f"kept {size} of pulls that broke off; `--unfinished` removes them")
    _console.note(f"{'would free' if dry_run else 'freed'} {_console.format_size(pruned.freed)}")


def _as_json(pruned: Pruned, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "busy": pruned.busy,
        "freed": pruned.freed,
        "awaited": pruned.awaited,
        "blobs": [{"digest": str(d), "size": size} for d, size in pruned.blobs.items()],
        "leftovers": [
            {"path": _console.printable(str(file.path)), "size": file.size}
            for file in pruned.leftovers
        ],
        "referrers": [str(referrer.digest) for referrer in pruned.referrers],
        "folders": [_console.printable(str(folder)) for folder in pruned.folders],
        "unreadable": unreadable_json(pruned.unreadable),
    }
