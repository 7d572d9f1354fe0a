"""Manifests and indexes: the bytes as they came, and a typed view of them.

The digest of a manifest is the digest of the bytes that were served, so the bytes are kept and
never encoded again. `encode` writes our own in one canonical form.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
     https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modelpack import limits
from modelpack.errors import LimitError, ManifestError
from modelpack.oci.descriptor import Descriptor, annotations_from_json
from modelpack.oci.digest import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
_MODEL_ENTRY = "org.cncf.model.model"
_ATTESTATION = "vnd.docker.reference.type"
TITLE = "org.opencontainers.image.title"
"""The annotation that names a layer's file for `oras pull`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest exactly as it was received, and a typed view of it."""

    raw: bytes
    media_type: str
    artifact_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None = None

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "") -> Self:
        """Read the manifest in *raw*; *media_type* is what the server called it, if it did.

        Raises:
            LimitError: *raw* is larger than a manifest may be.
            ManifestError: it is not an image manifest, or a descriptor in it is broken.
            DigestError: a digest in it is not sha256.
        """
        value = _object(raw)
        media_type = _media_type(value, media_type, OCI_MANIFEST)
        if media_type not in MANIFESTS:
            raise ManifestError(f"not an image manifest: {media_type!r}")
        layers = value.get("layers")
        if not isinstance(layers, list):
            raise ManifestError("manifest has no layers")
        if len(layers) > limits.LAYERS:
            raise LimitError(f"manifest has {len(layers):,} layers, more than {limits.LAYERS:,}")
        artifact_type = value.get("artifactType")
        subject = value.get("subject")
        return cls(
            raw,
            media_type,
            artifact_type if isinstance(artifact_type, str) else "",
            Descriptor.from_json(value.get("config"), "manifest config"),
            tuple(Descriptor.from_json(item, f"layer {i}") for i, item in enumerate(layers)),
            annotations_from_json(value.get("annotations"), "manifest"),
            Descriptor.from_json(subject, "manifest subject") if subject is not None else None,
        )

    @property
    def digest(self) -> Digest:
        """The digest of `raw`; encoding the view again may give another one."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """What points at this manifest."""
        return Descriptor(
            self.media_type, self.digest, len(self.raw), artifact_type=self.artifact_type
        )

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All that must be present before this manifest may be named: layers, then config."""
        return (*self.layers, self.config)

    @property
    def size(self) -> int:
        """Bytes of layers and config together; a blob listed twice counts twice."""
        return sum(blob.size for blob in self.blobs)


@dataclass(frozen=True, slots=True)
class Index:
    """An image index (or docker manifest list) as it was received, and its entries."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "") -> Self:
        """Read the index in *raw*. Raises as `Manifest.parse`."""
        value = _object(raw)
        media_type = _media_type(value, media_type, OCI_INDEX)
        entries = value.get("manifests")
        if media_type not in INDEXES or not isinstance(entries, list):
            raise ManifestError(f"not an image index: {media_type!r}")
        if len(entries) > limits.LAYERS:
            raise LimitError(f"index has {len(entries):,} entries, more than {limits.LAYERS:,}")
        found = (Descriptor.from_json(item, f"entry {i}") for i, item in enumerate(entries))
        return cls(raw, media_type, tuple(found))

    @property
    def digest(self) -> Digest:
        """The digest of `raw`."""
        return Digest.of(self.raw)

    def choose(self) -> Descriptor:
        """Return the entry that is the model: one that says so, else the first with content.

        Raises:
            ManifestError: there is none; attestations do not count.
        """
        marked = [e for e in self.manifests if e.annotations.get(_MODEL_ENTRY) == "true"]
        content = [e for e in self.manifests if _ATTESTATION not in e.annotations]
        found = marked or content
        if not found:
            raise ManifestError("the index holds no model")
        return found[0]


def total_size(raw: bytes) -> int:
    """Return the bytes of layers and config of the manifest in *raw*, checking nothing else.

    A list of a thousand models is ten times as fast so; who uses a manifest parses it.

    Raises:
        ManifestError: *raw* is not a manifest.
    """
    value = _object(raw)
    try:
        total = sum(blob["size"] for blob in (value["config"], *value["layers"]))  # type: ignore[misc]
    except (KeyError, TypeError):
        raise ManifestError("not an image manifest") from None
    if not isinstance(total, int):  # JSON has fractions, and numbers beyond every size
        raise ManifestError("manifest has no usable sizes")
    return total


def is_index(raw: bytes, media_type: str = "") -> bool:
    """Tell whether *raw* is an index rather than a manifest."""
    if media_type in INDEXES:
        return True
    return media_type not in MANIFESTS and "manifests" in _object(raw)


def encode(
    *,
    artifact_type: str,
    config: Descriptor,
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str],
) -> Manifest:
    """Write an OCI image manifest in the one form we write: fixed order, no white space."""
    value: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    if annotations:
        value["annotations"] = dict(sorted(annotations.items()))
    return Manifest.parse(canonical_json(value))


def canonical_json(value: object) -> bytes:
    """Encode *value* as UTF-8 JSON without white space; the caller fixes the order of members.

    Raises:
        ManifestError: a text in it is not Unicode, such as half a surrogate pair.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise ManifestError("a text in the manifest or config is not Unicode") from None


def _object(raw: bytes) -> dict[str, object]:
    if len(raw) > limits.MANIFEST:
        raise LimitError(
            f"manifest is larger than {limits.MANIFEST:,} bytes",
            hint="registries refuse manifests over 4 MiB; use fewer or larger layers",
        )
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise ManifestError(
            "manifest is not JSON", hint="is that really an OCI registry?"
        ) from None
    if not isinstance(value, dict):
        raise ManifestError("manifest is not a JSON object")
    return value


def _media_type(value: Mapping[str, object], served: str, default: str) -> str:
    said = value.get("mediaType")
    if isinstance(said, str) and said:
        return said
    if served in MANIFESTS or served in INDEXES:
        return served
    return OCI_INDEX if "manifests" in value and "layers" not in value else default
