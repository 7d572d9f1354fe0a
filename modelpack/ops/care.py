"""Care for the store: free what nobody needs, check and repair, tell what models cost."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelpack.errors import InputError, IntegrityError
from modelpack.oci.digest import Digest
from modelpack.ops.context import Context
from modelpack.ops.repair import Repaired, mend
from modelpack.progress import Report, silent
from modelpack.store.fsck import Condition, Trouble, examine, judge, lost
from modelpack.store.gc import Pruned, collect, divide_unfinished, unneeded, unreferenced
from modelpack.store.survey import Survey, Unreadable, leftovers, survey, unfinished
from modelpack.store.usage import Usage, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """How a store is."""

    blobs: int
    """Blobs that were hashed."""
    size: int
    """Their bytes."""
    troubles: tuple[Trouble, ...]
    """What is wrong with blobs and referrers, as far as it was not repaired."""
    unreadable: tuple[Unreadable, ...]
    """Names whose manifests cannot be read."""
    repaired: tuple[Repaired, ...] = ()
    unreferenced: dict[Digest, int]
    """Blobs that no name needs, with their sizes."""
    foreign: tuple[Path, ...]
    """Files that are no part of a store."""

    def require_sound(self) -> None:
        """Raise `IntegrityError` where anything is damaged or unreadable and was not repaired."""
        count = len(self.troubles) + len(self.unreadable)
        if not count:
            return
        names = {name for trouble in self.troubles for name in trouble.models}
        names.update(item.name for item in self.unreadable if item.name)
        which = f": {', '.join(sorted(names))}" if names else ""
        damaged = self.unreadable or any(t.kind != "unreadable" for t in self.troubles)
        what = "is damaged" if damaged else "cannot be read"
        raise IntegrityError(
            f"the store {what} in {count} place{'' if count == 1 else 's'}{which}",
            hint="`modelpack fsck --repair` fetches such blobs again from their registries; "
            "remove and build, load or pull again what it cannot repair",
        )


def prune(context: Context, *, dry_run: bool = False, unfinished: bool = False) -> Pruned:
    """Remove blobs that no name needs and what was left unfinished; with *dry_run* only tell.

    What a pull or push could go on with is kept for a week, with *unfinished* not at all.

    Raises:
        StoreError: somebody is building, pulling or pushing and it is no *dry_run*.
    """
    return collect(context.store.layout, time.time(), dry_run=dry_run, unfinished=unfinished)


def usage(context: Context, texts: Sequence[str] = ()) -> tuple[Usage, tuple[Unreadable, ...]]:
    """Return what the models *texts* (by default all) cost, and what cannot be read.

    Raises:
        NotFoundError: one of the models is not in the store.
    """
    layout = context.store.layout
    found = survey(layout)
    wanted = {context.find(text).reference.name for text in texts}
    measured = measure(found.needs(), found.blobs, unfinished(layout))
    if wanted:
        models = tuple(cost for cost in measured.models if cost.name in wanted)
        measured = replace(measured, models=models)
    return measured, found.doubts


def fsck(
    context: Context, texts: Sequence[str] = (), *, repair: bool = False, report: Report = silent
) -> Checkup:
    """Hash the blobs of the models *texts* (by default all of the store) and check the names.

    With *repair*, blobs that are damaged, unreadable or missing are fetched again from the
    registries of the models that need them, and stay as they are where that fails. Damaged ones
    that no model needs are removed, unless there is a name or a referrer that cannot be read. A
    referrer, which is a manifest, is fetched again as a blob is.

    Raises:
        NotFoundError: one of the models is not in the store.
        StoreError: the store is to be repaired and is read-only.
    """
    store = context.store
    with store.adding() if repair else store.reading():
        found = survey(store.layout)
        wanted = _wanted(context, texts, found) if texts else set(found.manifests)
        troubles = _lost(found, wanted)
        repaired: list[Repaired] = []
        if repair and troubles:  # first: they need blobs, too
            troubles, repaired = mend(context, troubles, report, sure=False)
            found = survey(store.layout)
        chosen = _restricted(found, wanted) if texts else found
        known = {digest: Condition(size) for digest, size in found.blobs.items()}
        needed = {blob.digest for blobs in chosen.needs().values() for blob in blobs}
        unlisted = dict.fromkeys(needed - known.keys(), 0)
        conditions = examine(store.layout, {**chosen.blobs, **unlisted}, report)
        bad = [
            trouble
            for trouble in judge(found.needs(), {**known, **conditions})
            if not texts or trouble.blob.digest in needed
        ]
        if repair:
            bad, fetched = mend(context, bad, report, sure=not found.doubts)
            repaired += fetched
        troubles += bad
        unsure = any(doubt.subject for doubt in found.doubts)
    return Checkup(
        blobs=len(chosen.blobs),
        size=sum(chosen.blobs.values()),
        troubles=tuple(troubles),
        unreadable=tuple(u for u in chosen.unreadable if Path(u.path) not in chosen.foreign),
        repaired=tuple(repaired),
        unreferenced={} if texts or unsure else _needless(context, found),
        foreign=chosen.foreign,
    )


def _needless(context: Context, found: Survey) -> dict[Digest, int]:
    _, awaited = divide_unfinished(found, leftovers(context.store.layout), time.time())
    return unneeded(unreferenced(found)[0], awaited)


def _lost(found: Survey, names: Collection[str]) -> list[Trouble]:
    named = {name: manifest.digest for name, manifest in found.manifests.items()}
    return [one for one in lost(named, found.referrers) if not set(names).isdisjoint(one.models)]


def _wanted(context: Context, texts: Sequence[str], found: Survey) -> set[str]:
    damaged = {item.name for item in found.unreadable if item.name}
    names: set[str] = set()
    for text in texts:
        try:
            names.add(context.find(text).reference.name)
        except InputError:  # its manifest is damaged, which is what is asked
            name = context.parse(text).name
            if name not in damaged:
                raise
            names.add(name)
    return names


def _restricted(found: Survey, names: set[str]) -> Survey:
    manifests = {name: found.manifests[name] for name in names if name in found.manifests}
    part = replace(found, manifests=manifests, foreign=())
    needed = {blob.digest for blobs in part.needs().values() for blob in blobs}
    return replace(
        part,
        unreadable=tuple(item for item in found.unreadable if item.name in names),
        blobs={digest: size for digest, size in found.blobs.items() if digest in needed},
    )
