"""Signatures, attestations and whatever else refers to a model: they travel with it.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

from modelpack import limits
from modelpack.content.base import Interruptible, Sink, Source, Vouching
from modelpack.content.pool import Pool, Task
from modelpack.content.transfer import CopyOptions, copy
from modelpack.errors import (
    IntegrityError,
    LimitError,
    ManifestError,
    ModelPackError,
    NotFoundError,
    RegistryError,
)
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import OCI_INDEX, Index, Manifest, canonical_json
from modelpack.oci.reference import Reference
from modelpack.progress import Event, Report, silent


@runtime_checkable
class Referring(Protocol):
    """Optional: a place that keeps what refers to a manifest, and finds it."""

    def referrers(self, subject: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is *subject*, of one artifact type or of all."""
        ...


class Copied(NamedTuple):
    """A model that was copied, and what refers to it."""

    manifest: Manifest
    referrers: tuple[Descriptor, ...]
    """All that came along, those of referrers too."""


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the index of referrers in a registry that has no referrers API."""
    return f"sha256-{subject.hex}"


def artifact_type_of(manifest: Manifest) -> str:
    """Return what kind of artifact *manifest* is; where it does not say, its config does."""
    return manifest.artifact_type or manifest.config.media_type


def described(manifest: Manifest) -> Descriptor:
    """Return the descriptor of *manifest* as a list of referrers has it."""
    return replace(
        manifest.descriptor,
        artifact_type=artifact_type_of(manifest),
        annotations=manifest.annotations,
    )


def chosen(entries: Iterable[Descriptor], artifact_type: str) -> tuple[Descriptor, ...]:
    """Return each of *entries* once, only those of *artifact_type* if it is not empty."""
    once = {entry.digest: entry for entry in entries}.values()
    return tuple(e for e in once if not artifact_type or e.artifact_type == artifact_type)


def with_referrer(index: Index | None, manifest: Manifest) -> bytes:
    """Return the *index* of referrers with *manifest* in it; the other entries stay.

    Raises:
        ManifestError: *index* cannot be written again.
    """
    value: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_INDEX}
    items: list[object] = []
    if index is not None:
        if manifest.digest in (entry.digest for entry in index.manifests):
            return index.raw
        value = json.loads(index.raw)
        items = list(value["manifests"])  # type: ignore[call-overload]
    return canonical_json({**value, "manifests": [*items, described(manifest).to_json()]})


def copy_with_referrers(
    source: Source,
    sink: Sink,
    names: tuple[Reference, Reference],
    options: CopyOptions,
    report: Report = silent,
) -> Copied:
    """Copy a model as `copy` does, then what refers to it, and what refers to that.

    Where *source* or *sink* knows no referrers, only the model is copied.

    Raises:
        LimitError: there are more referrers than we copy.
    """
    if not (isinstance(source, Referring) and isinstance(sink, Referring)):
        return Copied(copy(source, sink, names, options, report), ())
    manifest, first = _copy_and_list(source, sink, names, options, report)
    found: dict[Digest, Descriptor] = {}
    subjects = [manifest.digest]
    for _ in range(limits.REFERRER_DEPTH):
        level = [
            (about, entry)
            for about in subjects
            for entry in (
                first if about == manifest.digest else _listed(source, about, options, report)
            )
        ]
        subjects = []
        for about, entry in level:
            if entry.digest in found:
                continue
            if len(found) == limits.REFERRERS:
                raise LimitError(f"more than {limits.REFERRERS:,} manifests refer to {names[0]}")
            if _copy_referrer(source, sink, names, (about, entry), (options, report)):
                found[entry.digest] = entry
                subjects.append(entry.digest)
        if not subjects:
            return Copied(manifest, tuple(found.values()))
    if any(source.referrers(about) for about in subjects):
        raise LimitError(f"what refers to {names[0]} is nested deeper than we copy")
    return Copied(manifest, tuple(found.values()))


def _copy_and_list(
    source: Source,
    sink: Sink,
    names: tuple[Reference, Reference],
    options: CopyOptions,
    report: Report,
) -> tuple[Manifest, tuple[Descriptor, ...]]:
    """Copy a model, and ask what refers to it while its blobs move."""
    asked: list[Task[tuple[Descriptor, ...]]] = []

    def check(manifest: Manifest) -> None:
        if options.check is not None:
            options.check(manifest)
        if isinstance(source, Referring):
            asked.append(beside.submit(_listed, source, manifest.digest, options, report))

    with Pool(1, "referrers") as beside:
        try:
            manifest = copy(source, sink, names, replace(options, check=check), report)
            return manifest, asked[0].result() if asked else ()
        except BaseException:
            if isinstance(source, Interruptible):
                source.interrupt()  # nobody waits for the list any more
            raise


def _listed(
    source: Referring, subject: Digest, options: CopyOptions, report: Report
) -> tuple[Descriptor, ...]:
    """Return what refers to *subject*; a pull is content without it where nobody can tell."""
    try:
        return source.referrers(subject)
    except (RegistryError, ManifestError) as error:
        if options.action != "pull":
            raise
        report(Event(action="status", item=f"left behind what refers to {subject}: {error}"))
        return ()


def _copy_referrer(
    source: Source,
    sink: Sink,
    names: tuple[Reference, Reference],
    referrer: tuple[Digest, Descriptor],
    how: tuple[CopyOptions, Report],
) -> bool:
    """Copy one referrer, and tell whether it could be had.

    What was listed but is gone or damaged in the store, or about something else, stays behind.
    """
    subject, entry = referrer
    options, report = how
    found = False

    def check(manifest: Manifest) -> None:
        nonlocal found
        about = manifest.subject.digest if manifest.subject else None
        if manifest.digest != entry.digest or about != subject:
            raise ManifestError(f"{entry.digest} does not refer to {subject}")
        if isinstance(source, Vouching):  # before any of it moves: a tar cannot take it back
            for blob in manifest.blobs:
                source.vouch(blob)
        found = True

    places = (
        replace(names[0], tag="", digest=entry.digest),
        replace(names[1], tag="", digest=entry.digest),
    )
    try:
        copy(source, sink, places, replace(options, check=check), report)
    except (NotFoundError, ManifestError, IntegrityError) as error:
        lost = not isinstance(error, IntegrityError) or isinstance(source, Vouching)
        if found or not lost:  # it is one, and could not be copied
            raise
        report(Event(action="warning", item=_left_behind(subject, entry, error)))
    return found


def _left_behind(subject: Digest, entry: Descriptor, error: ModelPackError) -> str:
    what = f" ({entry.artifact_type})" if entry.artifact_type else ""
    hint = f"; {error.hint}" if error.hint else ""
    return f"left behind {entry.digest}{what}, which refers to {subject}: {error}{hint}"
