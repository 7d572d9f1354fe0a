"""Repair a store: fetch again what is damaged, remove what is damaged and not needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelpack.content.transfer import copy
from modelpack.errors import IntegrityError, ModelPackError, StoreError
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.progress import Event, Report
from modelpack.store.fsck import Trouble, condition_of

if TYPE_CHECKING:
    from modelpack.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Repaired:
    """One blob, or the manifest of a referrer, that is well again."""

    digest: Digest
    origin: str
    """The registry that sent it; empty where it was only removed, because no model needs it."""


def mend(
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
        """Store what *trouble* is about anew; return the host that sent it, or why none did."""
        problems: list[str] = []
        references = [Reference.parse(name) for name in trouble.models]
        for reference in references:
            if not reference.host:
                continue
            try:
                if trouble.subject is None:
                    self._fetch(reference, trouble)
                else:
                    self._fetch_referrer(reference, trouble.blob.digest, trouble.subject)
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

    def _fetch_referrer(self, reference: Reference, digest: Digest, subject: Digest) -> None:
        def check(manifest: Manifest) -> None:
            about = manifest.subject.digest if manifest.subject else None
            if (manifest.digest, about) != (digest, subject):
                raise IntegrityError(f"{reference.host} has something else than {digest}")

        place = replace(reference, tag="", digest=digest)
        options = self._context.copying("pull", check=check)
        repository = self._repository(reference)
        copy(repository, self._context.store, (place, place), options, self._report)

    def _repository(self, reference: Reference) -> Repository:
        key = reference.host, reference.repository
        if key not in self._repositories:
            repository = self._opened.enter_context(self._context.repository(reference))
            self._repositories[key] = repository
        return self._repositories[key]
