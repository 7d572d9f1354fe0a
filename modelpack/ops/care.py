"""Care for the store: free what nobody needs, check and repair, tell what models cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import InputError, IntegrityError, ModelPackError, StoreError
from modelpack.oci.digest import Digest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.progress import Event, Report, silent
from modelpack.store.fsck import Condition, Trouble, condition_of, examine, judge
from modelpack.store.gc import Pruned, collect, unreferenced
from modelpack.store.survey import Survey, Unreadable, survey, unfinished
from modelpack.store.usage import Usage, measure

if TYPE_CHECKING:
    from modelpack.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Repaired:
    """One blob that is well again."""

    digest: Digest
    origin: str
    """The registry that sent it; empty where it was only removed, because no model needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """How a store is."""

    blobs: int
    """Blobs that were hashed."""
    size: int
    """Their bytes."""
    troubles: tuple[Trouble, ...]
    """What is wrong with blobs, as far as it was not repaired."""
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


def prune(context: Context, *, dry_run: bool = False) -> Pruned:
    """Remove blobs that no name needs and what was left unfinished; with *dry_run* only tell.

    Raises:
        StoreError: somebody is building, pulling or pushing.
    """
    return collect(context.store.layout, time.time(), dry_run=dry_run)


def usage(context: Context, texts: Sequence[str] = ()) -> tuple[Usage, tuple[Unreadable, ...]]:
    """Return what the models *texts* (by default all) cost, and the names that cannot be read.

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
    return measured, found.unreadable


def fsck(
    context: Context, texts: Sequence[str] = (), *, repair: bool = False, report: Report = silent
) -> Checkup:
    """Hash the blobs of the models *texts* (by default all of the store) and check the names.

    With *repair*, blobs that are damaged, unreadable or missing are fetched again from the
    registries of the models that need them, and stay as they are where that fails. Damaged ones
    that no model needs are removed, unless there is a name that cannot be read.

    Raises:
        NotFoundError: one of the models is not in the store.
        StoreError: the store is to be repaired and is read-only.
    """
    store = context.store
    with store.adding() if repair else store.reading():
        found = survey(store.layout)
        wanted = _wanted(context, texts, found)
        chosen = _restricted(found, wanted) if texts else found
        known = {digest: Condition(size) for digest, size in found.blobs.items()}
        needed = {blob.digest for blobs in chosen.needs().values() for blob in blobs}
        unlisted = dict.fromkeys(needed - known.keys(), 0)
        conditions = examine(store.layout, {**chosen.blobs, **unlisted}, report)
        troubles = [
            trouble
            for trouble in judge(found.needs(), {**known, **conditions})
            if not texts or trouble.blob.digest in needed
        ]
        repaired: list[Repaired] = []
        if repair:
            troubles, repaired = _repair(context, troubles, report, sure=not found.unreadable)
    return Checkup(
        blobs=len(chosen.blobs),
        size=sum(chosen.blobs.values()),
        troubles=tuple(troubles),
        unreadable=tuple(u for u in chosen.unreadable if Path(u.path) not in chosen.foreign),
        repaired=tuple(repaired),
        unreferenced={} if texts else unreferenced(found)[0],
        foreign=chosen.foreign,
    )


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


def _repair(
    context: Context, troubles: Sequence[Trouble], report: Report, *, sure: bool
) -> tuple[list[Trouble], list[Repaired]]:
    """Repair *troubles*; it is *sure* that a blob without a model is needed by none."""
    left: list[Trouble] = []
    repaired: list[Repaired] = []
    with ExitStack() as opened:
        repairing = _Repairing(context, opened, report)
        for trouble in troubles:
            digest = trouble.blob.digest
            if trouble.kind == "size":  # the blob is well; its manifest is not
                left.append(trouble)
                continue
            if trouble.models:
                origin, problem = repairing.fetch(trouble)
            else:
                origin, problem = "", _remove(context, trouble, sure=sure)
            if problem:
                left.append(replace(trouble, problem=f"{trouble.problem} ({problem})"))
            else:
                repaired.append(Repaired(digest, origin))
    return left, repaired


def _remove(context: Context, trouble: Trouble, *, sure: bool) -> str:
    """Remove the blob of *trouble*, which no model needs; return why it has to stay."""
    if trouble.kind != "damaged":
        return "it may be sound, and stays"
    if not sure:
        return "a name that cannot be read may need it"
    digest = trouble.blob.digest
    condition = condition_of(context.store.path(digest), digest)
    if condition.problem and condition.kind == "damaged":  # nobody has stored it anew meanwhile
        try:
            context.store.remove_blob(digest)
        except StoreError as error:
            return str(error)
    return ""


class _Repairing:
    """Fetches single blobs; a repository is opened once."""

    def __init__(self, context: Context, opened: ExitStack, report: Report) -> None:
        self._context = context
        self._opened = opened
        self._report = report
        self._repositories: dict[tuple[str, str], Repository] = {}

    def fetch(self, trouble: Trouble) -> tuple[str, str]:
        """Store the blob of *trouble* anew; return the host that sent it, or why none did."""
        problems: list[str] = []
        references = [Reference.parse(name) for name in trouble.models]
        for reference in references:
            if not reference.host:
                continue
            try:
                self._fetch(reference, trouble)
            except StoreError as error:  # no other registry can help
                return "", str(error)
            except ModelPackError as error:
                problems.append(str(error))
            else:
                return reference.host, ""
        return "", "; ".join(dict.fromkeys(problems)) or "no model that needs it has a registry"

    def _fetch(self, reference: Reference, trouble: Trouble) -> None:
        blob, moved = trouble.blob, 0
        item = str(blob.digest)

        def advance(count: int) -> None:
            nonlocal moved
            moved += count
            self._report(Event(action="pull", item=item, total=blob.size, completed=moved))

        with self._repository(reference).open(blob) as body:
            self._context.store.put(blob, body, advance)
        self._report(
            Event(action="pull", item=item, total=blob.size, completed=blob.size, done=True)
        )

    def _repository(self, reference: Reference) -> Repository:
        key = reference.host, reference.repository
        if key not in self._repositories:
            repository = self._opened.enter_context(self._context.repository(reference))
            self._repositories[key] = repository
        return self._repositories[key]
