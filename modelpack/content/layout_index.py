"""The `index.json` of an OCI image layout as a value; entries that are not ours stay as they are.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from modelpack import limits
from modelpack.errors import LimitError, ManifestError, ModelPackError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import OCI_INDEX, canonical_json

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation of an entry that says what it is called."""
_FULL_NAME = "io.containerd.image.name"
_EMPTY: Mapping[str, object] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}

MARKER = "oci-layout"
MARKER_BYTES = canonical_json({"imageLayoutVersion": "1.0.0"})
INDEX = "index.json"
BLOBS = "blobs/sha256"


def blob_name(digest: Digest) -> str:
    """Return where *digest* lies in a layout; nothing else turns a digest into a path."""
    return f"{BLOBS}/{digest.hex}"


def check_marker(raw: bytes, where: str) -> None:
    """Refuse the `oci-layout` file *raw* unless it is of a version that we read.

    Raises:
        ManifestError: it is not.
    """
    try:
        version = json.loads(raw)["imageLayoutVersion"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if not isinstance(version, str) or not version.startswith("1."):
        raise ManifestError(f"{where} is not an OCI image layout that we read")


@dataclass(frozen=True, slots=True)
class LayoutIndex:
    """What a layout holds."""

    members: Mapping[str, object]
    """Everything in the file besides the entries."""
    items: tuple[object, ...]
    """The entries as they stand in the file."""

    @classmethod
    def empty(cls) -> Self:
        """Return the index of a layout that holds nothing."""
        return cls(_EMPTY, ())

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Read the index in *raw*; *where* names the layout in errors.

        Raises:
            ManifestError: it is not an index.
            LimitError: it has too many entries.
        """
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("manifests"), list):
            raise ManifestError(f"{INDEX} of {where} is not an image index")
        items = value["manifests"]
        if len(items) > limits.LAYERS:
            raise LimitError(f"{where} has {len(items):,} entries, more than {limits.LAYERS:,}")
        return cls(value, tuple(items))

    def entries(self) -> Iterator[tuple[str, Descriptor]]:
        """Yield the name (empty for none) and descriptor of every entry that we understand."""
        for item in self.items:
            entry = _entry(item)
            if entry is not None:
                yield _name_of(entry), entry

    def named(self, name: str) -> Descriptor | None:
        """Return the entry that is called *name*, if there is one."""
        return next((entry for known, entry in self.entries() if known == name), None)

    def holding(self, digest: Digest) -> Descriptor | None:
        """Return an entry for *digest*, if there is one."""
        return next((entry for _, entry in self.entries() if entry.digest == digest), None)

    def adding(self, entry: Descriptor, name: str) -> Self:
        """Return this index with *entry* called *name*, or nothing; a name moves to it."""
        if not name and self.holding(entry.digest):
            return self
        kept = tuple(item for item in self.items if not _gives_way(item, entry, name))
        value = entry.to_json()
        if name:
            value["annotations"] = {**entry.annotations, REF_NAME: name}
        return type(self)(self.members, (*kept, value))

    def encode(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            LimitError: no reader would take it.
        """
        raw = canonical_json({**self.members, "manifests": list(self.items)})
        if len(raw) > limits.MANIFEST:
            raise LimitError(f"{INDEX} would be larger than {limits.MANIFEST:,} bytes")
        return raw


def _entry(item: object) -> Descriptor | None:
    try:
        return Descriptor.from_json(item, "entry")
    except ModelPackError:  # such as another digest algorithm
        return None


def _name_of(entry: Descriptor) -> str:
    return entry.annotations.get(_FULL_NAME) or entry.annotations.get(REF_NAME, "")


def _gives_way(item: object, entry: Descriptor, name: str) -> bool:
    """Tell whether *item* is what had the name, or the same manifest without one."""
    known = _entry(item)
    if known is None or not name:
        return False
    return _name_of(known) == name or (not _name_of(known) and known.digest == entry.digest)
