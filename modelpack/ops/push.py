"""Send a model from the store to a registry."""

from __future__ import annotations

from modelpack.content.transfer import CopyOptions, copy
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.progress import Event, Report, silent


def push(
    context: Context, text: str, destination: str = "", report: Report = silent
) -> tuple[Reference, Manifest]:
    """Send the local model *text* to the registry it names, or to *destination*.

    Raises:
        NotFoundError: the store does not have it.
        InputError: no registry is named.
        RegistryError: the registry cannot be reached, or refuses.
    """
    target = context.remote(destination or text)
    with context.store.reading():
        return _push(context, text, target, report)


def _push(
    context: Context, text: str, target: Reference, report: Report
) -> tuple[Reference, Manifest]:
    entry = context.find(text)
    report(Event(action="status", item=f"pushing {target}"))
    with context.repository(target) as repository:
        manifest = copy(
            context.store,
            repository,
            (entry.reference, target),
            CopyOptions(action="push", concurrency=context.network.concurrency),
            report,
        )
    return target, manifest
