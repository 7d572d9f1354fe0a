"""A store in a folder of its own, and models built into it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from modelpack.builder.plan import Cut
from modelpack.config import Settings
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import OCI_MANIFEST, Manifest, canonical_json, encode
from modelpack.oci.reference import Reference
from modelpack.ops.build import BuildOptions, Built, build
from modelpack.ops.context import Context
from modelpack.ops.model import StoredModel
from modelpack.ops.models import open_model
from modelpack.store.local import LocalStore

WHOLE = Cut(size=None)
LAYERED = Cut(size=40_000)
BY_TENSOR = Cut(size=40_000, layering="tensor")
SIGNATURE = "application/x.signature"
"""The artifact type of what `sign` keeps."""


def context_in(root: Path, **environment: str) -> Context:
    """A context whose store is *root*."""
    return Context.create(
        Settings.from_environment(
            {"HOME": str(root.parent), "MODELPACK_MODELS": str(root), **environment}
        )
    )


def make(
    context: Context,
    text: str,
    folder: Path,
    tag: str = "m",
    *,
    cut: Cut = WHOLE,
    **options: object,
) -> Built:
    """Build the Modelfile *text* in *folder* as *tag*."""
    return build(
        context,
        text.encode(),
        BuildOptions(context=folder, tags=[tag], cut=cut, **options),  # type: ignore[arg-type]
    )


def opened(context: Context, tag: str = "m") -> StoredModel:
    """Open the local model *tag*."""
    return open_model(context, tag)


def add_blob(store: LocalStore, data: bytes, media_type: str = "application/x.test") -> Descriptor:
    """Put *data* into *store*."""
    return Descriptor(media_type, store.add(data), len(data))


def manifest_of(store: LocalStore, *layers: bytes, config: bytes = b"{}") -> Manifest:
    """A manifest with *layers*, all of whose blobs are in *store*."""
    return encode(
        artifact_type="application/x.test",
        config=add_blob(store, config),
        layers=[add_blob(store, layer) for layer in layers],
        annotations={},
    )


def sign(store: LocalStore, subject: Manifest, text: bytes = b"signed") -> Manifest:
    """Keep a manifest about *subject* in *store*, with *text* in its only layer."""
    plain = manifest_of(store, text)
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": SIGNATURE,
        "config": plain.config.to_json(),
        "layers": [layer.to_json() for layer in plain.layers],
        "subject": subject.descriptor.to_json(),
    }
    manifest = Manifest.parse(canonical_json(value))
    store.name(Reference("ghcr.io", "team/model", "", manifest.digest), manifest)
    return manifest


def blob_names(root: Path) -> set[str]:
    """The names of the blobs in the store *root*."""
    folder = root / "blobs"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def leftovers(root: Path) -> list[str]:
    """What lies in the ingest folder of the store *root*."""
    folder = root / "ingest"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def assert_sound(root: Path) -> None:
    """Check that every blob in the store *root* is what its name says."""
    for path in (root / "blobs").iterdir():
        assert path.name == f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}"
