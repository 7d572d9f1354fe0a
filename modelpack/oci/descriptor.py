"""Descriptors: what a blob is, how large it is, and what it is called.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from modelpack.errors import ManifestError
from modelpack.oci.digest import Digest

_NOTHING: Mapping[str, str] = MappingProxyType({})
_MAX_SIZE = 2**63


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The media type, digest and size (in bytes) of one blob or manifest."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""

    @classmethod
    def of(cls, data: bytes, media_type: str, annotations: Mapping[str, str] = _NOTHING) -> Self:
        """Describe *data*."""
        return cls(media_type, Digest.of(data), len(data), annotations)

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Read a descriptor out of decoded JSON; *where* names it in errors.

        Raises:
            ManifestError: a member is missing or has the wrong type.
            DigestError: the digest is not a sha256 digest.
        """
        if not isinstance(value, dict):
            raise ManifestError(f"{where} is not a descriptor")
        size = value.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _MAX_SIZE:
            raise ManifestError(f"{where} has no usable size: {size!r}")
        return cls(
            _text(value, "mediaType", where),
            Digest.parse(_text(value, "digest", where)),
            size,
            annotations_from_json(value.get("annotations"), where),
            _text(value, "artifactType", where) if value.get("artifactType") else "",
        )

    def to_json(self) -> dict[str, object]:
        """Return the JSON object, members in the specification's order."""
        value: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        return value


def annotations_from_json(value: object, where: str) -> Mapping[str, str]:
    """Read an annotation map out of decoded JSON, or raise `ManifestError`."""
    if value is None:
        return _NOTHING
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ManifestError(f"{where} has annotations that are not strings")
    return MappingProxyType(value)


def _text(value: Mapping[str, object], key: str, where: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise ManifestError(f"{where} has no {key}")
    return text
