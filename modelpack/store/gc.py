"""The collector: removes blobs that no name needs, and what killed builds and pulls left.

What goes is decided by functions of values; `collect` looks, decides and acts while it has the
store for itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import StoreError
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.store import locks
from modelpack.store.errors import store_errors
from modelpack.store.paths import Layout
from modelpack.store.referrers import Referrer, Referrers, divide, needs_of
from modelpack.store.survey import Leftover, Survey, Unreadable, empty_folders, leftovers, survey

RESUMABLE_S = 7 * 86_400
"""How long a transfer that can be resumed is kept, in seconds."""
TEMPORARY_S = 3_600
"""How long any other unfinished file is kept, in seconds."""
_RESUMABLE = (".part", ".json")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be."""

    blobs: dict[Digest, int]
    """Blobs that no name needs, with their sizes."""
    leftovers: tuple[Leftover, ...]
    folders: tuple[Path, ...]
    """Folders that held no name."""
    referrers: tuple[Referrer, ...]
    """What refers to something that is not here any more."""
    unreadable: tuple[Unreadable, ...]
    """Names and referrers that cannot be read; where there is one, every blob stays."""
    awaited: int = 0
    """Bytes of blobs that stay only because a pull that was interrupted may go on."""
    busy: bool = False
    """Somebody is building, pulling or pushing, and may need some of it."""

    @property
    def freed(self) -> int:
        """Bytes of the blobs and leftovers."""
        return sum(self.blobs.values()) + sum(file.size for file in self.leftovers)


def unneeded(blobs: Mapping[Digest, int], manifests: Iterable[Manifest]) -> dict[Digest, int]:
    """Return those of *blobs* that none of *manifests* needs."""
    marked = {blob.digest for manifest in manifests for blob in manifest.blobs}
    return {digest: size for digest, size in blobs.items() if digest not in marked}


def unreferenced(found: Survey) -> tuple[dict[Digest, int], list[Referrer]]:
    """Return the blobs that nothing alive in *found* needs, and the referrers that are dead.

    What pulls that were interrupted left is among them.
    """
    named = (manifest.digest for manifest in found.manifests.values())
    living, dead = divide(named, found.referrers)
    return unneeded(found.blobs, [*found.manifests.values(), *needs_of(living)]), dead


def stale(
    files: Sequence[Leftover], now: float, resumable_s: float = RESUMABLE_S
) -> list[Leftover]:
    """Return those of *files* that nobody will finish, at the time *now*.

    A partial file and its journal are one: they go when the younger of them is *resumable_s* old,
    and neither is locked.
    """
    together: defaultdict[tuple[float, str], list[Leftover]] = defaultdict(list)
    for file in files:
        name = file.path.stem if _is_resumable(file) else file.path.name
        together[resumable_s if _is_resumable(file) else TEMPORARY_S, name].append(file)
    doomed: list[Leftover] = []
    for (keep, _), group in together.items():
        youngest = max(file.modified for file in group)
        if now - youngest > keep and not any(file.held for file in group):
            doomed += group
    return doomed


def divide_unfinished(
    found: Survey, files: Sequence[Leftover], now: float, resumable_s: float = RESUMABLE_S
) -> tuple[list[Leftover], list[Manifest]]:
    """Return what nobody will finish at the time *now*, and the manifests of pulls that may go on.

    A pull may whose model has no name yet, and that began or failed less than *resumable_s* ago or
    has a partial file among *files* that may stay.
    """
    doomed = stale(files, now, resumable_s)
    staying = {file.path.name for file in files} - {file.path.name for file in doomed}
    named = {manifest.digest for manifest in found.manifests.values()}
    awaited: list[Manifest] = []
    for pull in found.pulls:
        parts = {f"sha256-{blob.digest.hex}.part" for blob in pull.blobs}
        young = now - pull.modified <= resumable_s
        if pull.manifest and pull.manifest.digest not in named and (young or parts & staying):
            awaited.append(pull.manifest)
        else:
            doomed.append(Leftover(pull.path, pull.size, pull.modified, held=False))
    return doomed, awaited


def collect(layout: Layout, now: float, *, dry_run: bool, unfinished: bool = False) -> Pruned:
    """Remove what nobody needs at the time *now*, or with *dry_run* only tell.

    With *unfinished*, what a later pull or push could go on with goes as well.

    Raises:
        StoreError: somebody is building, pulling or pushing and it is no *dry_run*, or the store
            is read-only.
    """
    if not layout.root.is_dir():
        return Pruned({}, (), (), (), ())
    with locks.exclusive(layout.lock) as alone:
        if not alone and not dry_run:
            raise StoreError(
                f"the store {layout.root} is in use: something is built, pulled or pushed",
                hint="prune again when that is done",
            )
        found = survey(layout)
        keep_s = -math.inf if unfinished else RESUMABLE_S
        doomed, awaited = divide_unfinished(found, leftovers(layout), now, keep_s)
        doubts = found.doubts
        blobs, dead = ({}, []) if doubts else unreferenced(found)
        needless = unneeded(blobs, awaited)
        pruned = Pruned(
            needless,
            tuple(doomed),
            tuple(empty_folders(layout)),
            tuple(dead),
            doubts,
            awaited=sum(blobs.values()) - sum(needless.values()),
            busy=not alone,
        )
        if not dry_run:
            _remove(layout, pruned)
    return pruned


def _remove(layout: Layout, pruned: Pruned) -> None:
    for referrer in pruned.referrers:
        Referrers(layout).remove(referrer)
    with store_errors(layout):
        for digest in pruned.blobs:
            layout.blob(digest).unlink(missing_ok=True)
        for file in pruned.leftovers:
            file.path.unlink(missing_ok=True)
    for folder in (*pruned.folders, layout.pulls):
        with suppress(OSError):  # a name has come meanwhile
            folder.rmdir()


def _is_resumable(file: Leftover) -> bool:
    return file.path.name.startswith(("sha256-", "upload-")) and file.path.suffix in _RESUMABLE
