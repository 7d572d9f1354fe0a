"""Stores that hold small models, and registries that serve one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fakes.registry import OCI_MANIFEST, FakeRegistry
from support import ggufs
from support.models import WHOLE, make

from modelpack.builder.plan import Cut
from modelpack.config import Settings
from modelpack.oci.manifest import Manifest
from modelpack.ops.context import Context, Network

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
CONFIG_LAYER_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
MODELFILE = 'FROM weights.gguf\nSYSTEM "Be brief."\nPARAMETER temperature 0.5\n'

WEIGHTS = b"weights " * 40_000
"""Of a model that takes several blocks to fetch."""


def context_at(folder: Path, network: Network | None = None) -> Context:
    """Return a context with a store of its own below *folder* and the test's environment."""
    environment = {**os.environ, "MODELPACK_MODELS": str(folder / "models")}
    return Context.create(Settings.from_environment(environment), network)


def build_model(context: Context, folder: Path, name: str, *, cut: Cut = WHOLE) -> Manifest:
    """Build a small model called *name* out of files below *folder*."""
    ggufs.write_model(folder / "weights.gguf")
    return make(context, MODELFILE, folder, name, cut=cut).manifest


def serve_model(
    registry: FakeRegistry,
    repo: str = "team/tiny",
    tag: str = "v1",
    weights: bytes = b"weights " * 20_000,
) -> dict:
    """Put a model with one layer into *registry*; returns its manifest as an object."""
    config = json.dumps({"descriptor": {}, "config": {"format": "gguf"}}).encode()
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": {**registry.add_blob(config), "mediaType": CONFIG_TYPE},
        "layers": [
            {
                **registry.add_blob(weights),
                "mediaType": WEIGHT_TYPE,
                "annotations": {"org.cncf.model.filepath": "model.gguf"},
            }
        ],
    }
    registry.add_manifest(repo, json.dumps(value).encode(), tag)
    return value


def files_in(context: Context) -> list[str]:
    """Return what is visible or left over in the store, the lock file aside."""
    root = context.store.layout.root
    found = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(root)) for path in found)
