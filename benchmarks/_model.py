"""A model of random bytes in an OCI image layout, which every client can send."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
NAME = "bench/model"
TAG = "v1"

_BLOCK = 128 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of a layout."""

    digest: str
    size: int
    path: Path

    def descriptor(self, media_type: str, **more: object) -> dict[str, object]:
        """Return what a manifest says of it."""
        return {"mediaType": media_type, "digest": self.digest, "size": self.size, **more}


@dataclass(frozen=True, slots=True)
class Model:
    """A model in a layout."""

    layout: Path
    layers: tuple[Blob, ...]
    config: Blob
    manifest: Blob

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Everything but the manifest."""
        return (*self.layers, self.config)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


def make_model(layout: Path, sizes: Sequence[int]) -> Model:
    """Write a model with one layer of each of *sizes* to the new folder *layout*."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = tuple(_random(blobs, size) for size in sizes)
    config = _add(blobs, _json({"descriptor": {}, "config": {"format": "gguf"}}))
    manifest = _add(
        blobs,
        _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "artifactType": ARTIFACT_TYPE,
                "config": config.descriptor(CONFIG_TYPE),
                "layers": [_layer(number, layer) for number, layer in enumerate(layers)],
            }
        ),
    )
    entry = manifest.descriptor(
        MANIFEST_TYPE, annotations={"org.opencontainers.image.ref.name": TAG}
    )
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    return Model(layout, layers, config, manifest)


def _layer(number: int, layer: Blob) -> dict[str, object]:
    name = f"model-{number:05}.gguf"
    return layer.descriptor(
        WEIGHT_TYPE,
        annotations={
            "org.cncf.model.filepath": name,
            "org.opencontainers.image.title": name,
        },
    )


def _random(folder: Path, size: int) -> Blob:
    digest = hashlib.sha256()
    unfinished = folder / "unfinished"
    left = size
    with unfinished.open("wb") as file:
        while left:
            block = os.urandom(min(left, _BLOCK))
            digest.update(block)
            left -= file.write(block)
    return Blob(
        f"sha256:{digest.hexdigest()}", size, unfinished.rename(folder / digest.hexdigest())
    )


def _add(folder: Path, data: bytes) -> Blob:
    name = hashlib.sha256(data).hexdigest()
    (folder / name).write_bytes(data)
    return Blob(f"sha256:{name}", len(data), folder / name)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
