"""Fetch a model from a registry into the store."""

from __future__ import annotations

from dataclasses import replace

from modelpack.content.referrers import copy_with_referrers
from modelpack.errors import NotFoundError
from modelpack.formats.detect import detect
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.progress import Event, Report, silent
from modelpack.store.names import Entry


def pull(
    context: Context, text: str, report: Report = silent, *, verify: bool = False
) -> tuple[Reference, Manifest]:
    """Fetch the model *text*; its name appears when all of it is there and verified.

    What is in the store already counts if it has the right size, with *verify* only if it has the
    right bytes.

    Raises:
        InputError: *text* names no registry.
        NotFoundError: the registry does not have it.
        RegistryError: the registry cannot be reached, or refuses.
        IntegrityError: it sent other bytes than it promised.
    """
    return _pull(context, context.remote(text), report, verify=verify)


def ensure(context: Context, text: str, report: Report = silent) -> Entry:
    """Return the model *text* from the store, fetching it where it is not there."""
    try:
        return context.find(text)
    except NotFoundError:
        reference = context.parse(text)
        if not reference.host:
            raise
        report(Event(action="status", item=f"{reference} is not in the store, pulling it"))
        _pull(context, reference, report, verify=False)
    return context.find(text)


def _pull(
    context: Context, reference: Reference, report: Report, *, verify: bool
) -> tuple[Reference, Manifest]:
    report(Event(action="status", item=f"pulling {reference}"))
    with context.repository(reference) as repository, context.store.pulling() as note:

        def check(manifest: Manifest) -> None:
            detect(manifest)
            note(manifest)

        copied = copy_with_referrers(
            repository,
            context.store,
            (reference, reference),
            replace(context.copying("pull", check=check), verify=verify),
            report,
        )
    return reference, copied.manifest
