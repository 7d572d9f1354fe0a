"""Copy a model from one registry to another, and what refers to it; nothing touches the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelpack.content.referrers import copy_with_referrers
from modelpack.errors import InputError
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.progress import Event, Report, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedModel:
    """What was copied, and where to."""

    reference: Reference
    manifest: Manifest
    referrers: int
    """Signatures, attestations and the like that came along."""


def copy_model(
    context: Context, source: str, destination: str, report: Report = silent
) -> CopiedModel:
    """Copy the model *source* of one registry to *destination* on the same one or another.

    Raises:
        InputError: one of them names no registry, or *destination* has another digest.
        NotFoundError: the registry does not have *source*.
        RegistryError: a registry cannot be reached, or refuses.
        IntegrityError: it sent other bytes than it promised.
    """
    from modelpack.registry.referrers import ReferringRepository

    names = context.remote(source), context.remote(destination)
    options = context.copying("push", check=lambda manifest: check_digest(names[1], manifest))
    report(Event(action="status", item=f"copying {names[0]} to {names[1]}"))
    with (
        ReferringRepository(names[0], context.connection(names[0].host)) as repository,
        ReferringRepository(
            names[1], context.connection(names[1].host), sisters=_sisters(*names)
        ) as sink,
    ):
        copied = copy_with_referrers(repository, sink, names, options, report)
    return CopiedModel(
        reference=names[1], manifest=copied.manifest, referrers=len(copied.referrers)
    )


def _sisters(source: Reference, target: Reference) -> Callable[[Digest], Sequence[str]]:
    """Return what can be mounted from: the source itself, where both are on one registry."""
    near = source.host == target.host and source.repository != target.repository
    sisters = (source.repository,) if near else ()
    return lambda _digest: sisters


def check_digest(destination: Reference, manifest: Manifest) -> None:
    """Raise `InputError` where *destination* has another digest than *manifest*."""
    if destination.digest not in (None, manifest.digest):
        raise InputError(
            f"{destination} cannot name a model whose digest is {manifest.digest}",
            hint="leave the digest out of the destination",
        )
