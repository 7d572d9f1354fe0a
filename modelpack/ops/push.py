"""Send a model from the store to a registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from modelpack.content.referrers import copy_with_referrers
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.ops.copy import check_digest
from modelpack.progress import Event, Report, silent
from modelpack.store.uploads import Uploads


def push(
    context: Context, text: str, destination: str = "", report: Report = silent
) -> tuple[Reference, Manifest]:
    """Send the local model *text* to the registry it names, or to *destination*.

    Raises:
        NotFoundError: the store does not have it.
        InputError: no registry is named, or the destination has another digest.
        RegistryError: the registry cannot be reached, or refuses.
    """
    target = context.remote(destination or text)
    with context.store.reading():
        return _push(context, text, target, report)


def _push(
    context: Context, text: str, target: Reference, report: Report
) -> tuple[Reference, Manifest]:
    from modelpack.registry.referrers import ReferringRepository

    entry = context.find(text)
    check_digest(target, entry.manifest)
    report(Event(action="status", item=f"pushing {target}"))
    journal = Uploads(context.store.layout)
    connection = context.connection(target.host)
    with ReferringRepository(target, connection, journal, _sisters(context, target)) as repository:
        copied = copy_with_referrers(
            context.store, repository, (entry.reference, target), context.copying("push"), report
        )
    return target, copied.manifest


def _sisters(context: Context, target: Reference) -> Callable[[Digest], Sequence[str]]:
    """Return who else on the registry of *target* may have a blob, by the names in the store."""

    @cache
    def known() -> dict[Digest, list[str]]:
        found: dict[Digest, list[str]] = {}
        for entry in context.store.list(lambda _warning: None):
            reference = entry.reference
            if reference.host == target.host and reference.repository != target.repository:
                for blob in entry.manifest.blobs:
                    found.setdefault(blob.digest, []).append(reference.repository)
        return found

    return lambda digest: known().get(digest, ())
