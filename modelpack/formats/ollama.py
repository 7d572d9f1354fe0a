"""Ollama's format, as its store and its registry have it: a layer for each part, told by its type.

See: https://github.com/ollama/ollama/blob/main/manifest/layer.go
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from modelpack.errors import ManifestError
from modelpack.formats.artifact import SETTINGS, Facts, Layer, ModelArtifact, Role
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest

PREFIX: Final = "application/vnd.ollama.image."
CONFIG_TYPE: Final = "application/vnd.docker.container.image.v1+json"

_ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "model": Role.MODEL,
        "projector": Role.PROJECTOR,
        "adapter": Role.ADAPTER,
        "draft": Role.DRAFT,
        "template": Role.TEMPLATE,
        "system": Role.SYSTEM,
        "prompt": Role.SYSTEM,  # what older models call it
        "params": Role.PARAMS,
        "messages": Role.MESSAGES,
        "license": Role.LICENSE,
    }
)
_ENDINGS: Final[Mapping[Role, str]] = MappingProxyType(
    dict.fromkeys((Role.MODEL, Role.PROJECTOR, Role.ADAPTER, Role.DRAFT), ".gguf")
    | dict.fromkeys((Role.PARAMS, Role.MESSAGES), ".json")
)
_GGUF = ("", "gguf")


class Ollama:
    """The codec of Ollama's format; models of safetensors are not read."""

    name = "ollama"

    def matches(self, manifest: Manifest) -> bool:
        """Tell whether *manifest* is one of Ollama's."""
        return any(layer.media_type.startswith(PREFIX) for layer in manifest.layers)

    def decode(self, manifest: Manifest, config: bytes) -> ModelArtifact:
        """Return the model in *manifest*."""
        try:
            said = json.loads(config)
        except (ValueError, RecursionError):
            raise ManifestError("the model's config is not JSON") from None
        value = said if isinstance(said, dict) else {}
        if _text(value, "model_format") not in _GGUF:
            raise ManifestError(
                f"a model of {_text(value, 'model_format')[:40]} cannot be read",
                hint="models of GGUF can",
            )
        layers = tuple(_layers(manifest.layers))
        settings = {key: text for key in SETTINGS if (text := _text(value, key))}
        return ModelArtifact(layers=layers, facts=_facts(value, layers), settings=settings)

    def encode(self, artifact: ModelArtifact) -> tuple[bytes, Manifest]:
        """Refuse: models are written in our own format.

        Raises:
            ManifestError: always.
        """
        raise ManifestError("Ollama's format is read, and not written")


def _layers(blobs: tuple[Descriptor, ...]) -> list[Layer]:
    counts: Counter[Role] = Counter()
    layers: list[Layer] = []
    for blob in blobs:
        kind = blob.media_type.removeprefix(PREFIX)
        role = _ROLES.get(kind, Role.OTHER) if kind != blob.media_type else Role.OTHER
        counts[role] += 1
        number = "" if counts[role] == 1 else f"-{counts[role]}"
        layers.append(Layer(role, blob, f"{role}{number}{_ENDINGS.get(role, '')}"))
    return layers


def _facts(value: Mapping[str, object], layers: tuple[Layer, ...]) -> Facts:
    sees = any(layer.role is Role.PROJECTOR for layer in layers)
    named = value.get("capabilities")
    said = named if isinstance(named, list) else []
    return Facts(
        architecture=_text(value, "model_family"),
        family=_text(value, "model_family"),
        name=_text(value, "base_name"),
        parameter_size=_text(value, "model_type"),
        quantization=_text(value, "file_type"),
        inputs=("text", "image") if sees or "vision" in said else ("text",),
        outputs=("embedding",) if "embedding" in said else ("text",),
        tools="tools" in said,
        reasoning="thinking" in said,
    )


def _text(value: Mapping[str, object], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
