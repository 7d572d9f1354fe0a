"""What a registry has to know of a manifest: its type, what it needs, what it is about.

Only that is read; everything else in a manifest is its author's business. The bytes are kept as
they came.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from modelpack import limits
from modelpack.oci.manifest import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from modelpack.server.registry import errors
from modelpack.server.registry.names import ContentDigest

_NOT_DISTRIBUTED = ("nondistributable", "image.rootfs.foreign")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """The facts of one manifest or index."""

    media_type: str
    artifact_type: str
    """What referrers are filtered by: the manifest's artifact type, else its config's type."""
    annotations: Mapping[str, str]
    subject: ContentDigest | None
    blobs: frozenset[ContentDigest]
    """Blobs that must be there before the manifest."""
    manifests: frozenset[ContentDigest]
    """Manifests that must be there before the index."""
    optional: frozenset[ContentDigest]
    """Blobs that need not be there, since others give them."""

    @classmethod
    def parse(cls, raw: bytes, served: str = "") -> Self:
        """Read *raw*, which came with the content type *served*; refuse what is not a manifest."""
        value = _object(raw)
        media_type = _media_type(value, served)
        subject = value.get("subject")
        layers = list(_descriptors(value, "layers"))
        if media_type in MANIFESTS:
            layers.append(_descriptor(value.get("config"), "config"))
        return cls(
            media_type=media_type,
            artifact_type=_artifact_type(value),
            annotations=_annotations(value.get("annotations")),
            subject=None if subject is None else _digest(_descriptor(subject, "subject")),
            blobs=frozenset(_digest(layer) for layer in layers if _is_distributed(layer)),
            manifests=frozenset(_digest(entry) for entry in _descriptors(value, "manifests")),
            optional=frozenset(_optional(layers)),
        )

    def descriptor(self, digest: ContentDigest, size: int) -> dict[str, object]:
        """Return the descriptor that a list of referrers shows."""
        value: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": str(digest),
            "size": size,
        }
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value


def media_type_of(raw: bytes) -> str:
    """Return the media type of a manifest that was stored; nothing else of it is looked at."""
    return _media_type(_object(raw), "")


def _object(raw: bytes) -> dict[str, object]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise errors.manifest_invalid("the manifest is not JSON") from None
    if not isinstance(value, dict):
        raise errors.manifest_invalid("the manifest is not a JSON object")
    if value.get("schemaVersion") != 2:
        raise errors.manifest_invalid("the manifest's schemaVersion is not 2")
    return value


def _media_type(value: Mapping[str, object], served: str) -> str:
    said = value.get("mediaType")
    served = served.partition(";")[0].strip()
    if said is None:
        derived = OCI_INDEX if "manifests" in value and "layers" not in value else OCI_MANIFEST
        said = served if served in (*MANIFESTS, *INDEXES) else derived
    if said not in (*MANIFESTS, *INDEXES) or not isinstance(said, str):
        raise errors.manifest_invalid(f"not a manifest type we know: {str(said)[:100]!r}")
    if served and served != said:
        raise errors.manifest_invalid(f"sent as {served[:100]!r}, but it says it is {said!r}")
    return said


def _artifact_type(value: Mapping[str, object]) -> str:
    config = value.get("config")
    fallback = config.get("mediaType") if isinstance(config, dict) else None
    for said in (value.get("artifactType"), fallback):
        if isinstance(said, str) and said:
            return said
    return ""


def _annotations(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise errors.manifest_invalid("the manifest's annotations are not strings")
    return value


def _descriptors(value: Mapping[str, object], key: str) -> Iterator[dict[str, object]]:
    items = value.get(key)
    if items is None:
        return
    if not isinstance(items, list) or len(items) > limits.LAYERS:
        raise errors.manifest_invalid(f"the manifest's {key} are not a list, or too many")
    for item in items:
        yield _descriptor(item, key)


def _descriptor(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict) or not isinstance(value.get("digest"), str):
        raise errors.manifest_invalid(f"{where}: not a descriptor")
    return value


def _digest(descriptor: Mapping[str, object]) -> ContentDigest:
    return ContentDigest.parse(str(descriptor["digest"]))


def _optional(layers: Iterable[Mapping[str, object]]) -> Iterator[ContentDigest]:
    for layer in layers:
        if not _is_distributed(layer):
            with contextlib.suppress(errors.RefusedError):
                yield _digest(layer)


def _is_distributed(layer: Mapping[str, object]) -> bool:
    media_type = str(layer.get("mediaType"))
    return not layer.get("urls") and not any(word in media_type for word in _NOT_DISTRIBUTED)
