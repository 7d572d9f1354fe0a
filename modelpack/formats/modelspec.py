"""CNCF ModelPack: the format we write by default.

Layers are raw files. Templates, system prompts, parameters and messages travel as small
`weight.config` layers under fixed paths below `modelpack/`; `docs/format.md` lists them. Every
layer also has a title, so that `oras pull` writes it to a file.

See: https://github.com/modelpack/model-spec/blob/v0.0.7/docs/spec.md
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Final

from modelpack import limits
from modelpack.errors import LimitError, ManifestError
from modelpack.formats.artifact import Facts, Layer, ModelArtifact, Role, safe_path
from modelpack.formats.modelspec_config import decode_config, encode_config
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import TITLE, Manifest, canonical_json, encode

ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.cncf.model.config.v1+json"
FILE_PATH: Final = "org.cncf.model.filepath"
FILE_METADATA: Final = "org.cncf.model.file.metadata+json"
FILE_UNTESTED: Final = "org.cncf.model.file.mediatype.untested"
ROLE: Final = "io.modelpack.role"
"""Our annotation that says what a layer is for, where the media type does not."""

PATHS: Final[Mapping[Role, str]] = {
    Role.TEMPLATE: "modelpack/template",
    Role.SYSTEM: "modelpack/system",
    Role.PARAMS: "modelpack/params.json",
    Role.MESSAGES: "modelpack/messages.json",
    Role.SETTINGS: "modelpack/settings.json",
}
"""Where the layers that exist once travel."""

_WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
_DOC = "application/vnd.cncf.model.doc.v1.raw"
_PREFIX = "application/vnd.cncf.model."
_WEIGHTS = (Role.MODEL, Role.PROJECTOR, Role.ADAPTER, Role.DRAFT)
_MODE = 0o644
_REGULAR = ord("0")
_OWN = (FILE_PATH, FILE_METADATA, FILE_UNTESTED, TITLE, ROLE)
_ORDER = {role: number for number, role in enumerate(Role)}


class ModelSpec:
    """The codec of the CNCF ModelPack format, version 0.0.7."""

    name = "modelpack"

    def matches(self, manifest: Manifest) -> bool:
        """Tell whether *manifest* is a CNCF ModelPack artifact."""
        return manifest.artifact_type == ARTIFACT_TYPE or (
            manifest.config.media_type == CONFIG_TYPE
        )

    def decode(self, manifest: Manifest, config: bytes) -> ModelArtifact:
        """Return the model in *manifest*."""
        try:
            value = json.loads(config)
        except (ValueError, RecursionError):
            raise ManifestError("the model's config is not JSON") from None
        return ModelArtifact(
            layers=tuple(_decode_layer(layer) for layer in manifest.layers),
            facts=decode_config(value) if isinstance(value, dict) else Facts(),
            labels=manifest.annotations,
        )

    def encode(self, artifact: ModelArtifact) -> tuple[bytes, Manifest]:
        """Return the config blob and the manifest of *artifact*."""
        layers = sorted(artifact.layers, key=lambda layer: _ORDER[layer.role])
        blobs = [_encode_layer(layer) for layer in layers]
        config = canonical_json(encode_config(artifact.facts, [blob.digest for blob in blobs]))
        if len(config) > limits.CONFIG:
            raise LimitError(
                f"the model's config has {len(config):,} bytes, more than {limits.CONFIG:,}",
                hint="are the name and description in the GGUF what they should be?",
            )
        manifest = encode(
            artifact_type=ARTIFACT_TYPE,
            config=Descriptor.of(config, CONFIG_TYPE),
            layers=blobs,
            annotations=artifact.labels,
        )
        return config, manifest


def _encode_layer(layer: Layer) -> Descriptor:
    metadata = {
        "name": posixpath.basename(layer.path),
        "mode": _MODE,
        "uid": 0,
        "gid": 0,
        "size": layer.blob.size,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": _REGULAR,
    }
    annotations = {
        **layer.annotations,
        FILE_PATH: layer.path,
        FILE_METADATA: canonical_json(metadata).decode(),
        FILE_UNTESTED: "false",
        TITLE: layer.path,
        ROLE: layer.role.value,
    }
    return Descriptor(_media_type(layer), layer.blob.digest, layer.blob.size, annotations)


def _media_type(layer: Layer) -> str:
    if layer.role is Role.OTHER:
        return layer.blob.media_type or _CONFIG
    if layer.role in _WEIGHTS:
        return _WEIGHT
    return _DOC if layer.role in (Role.LICENSE, Role.DOC) else _CONFIG


def _decode_layer(blob: Descriptor) -> Layer:
    if not blob.media_type.endswith(".raw") and blob.media_type.startswith(_PREFIX):
        raise ManifestError(
            f"layers of type {blob.media_type} are not supported",
            hint="this version reads raw layers; pack the model again without tar",
        )
    path = blob.annotations.get(FILE_PATH) or blob.annotations.get(TITLE) or blob.digest.short
    safe_path(path)
    others = {key: text for key, text in blob.annotations.items() if key not in _OWN}
    return Layer(_role(blob, path), blob, path, others)


def _role(blob: Descriptor, path: str) -> Role:
    said = blob.annotations.get(ROLE)
    if said in tuple(Role):
        return Role(said)
    if path.endswith(".gguf"):
        return Role.PROJECTOR if "mmproj" in posixpath.basename(path) else Role.MODEL
    if blob.media_type == _DOC:
        base = posixpath.basename(path).upper()
        return Role.LICENSE if base.startswith(("LICENSE", "LICENCE")) else Role.DOC
    return next((role for role, fixed in PATHS.items() if fixed == path), Role.OTHER)
