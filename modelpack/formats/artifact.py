"""The model that every format writes in its own way.

A `ModelArtifact` lists layers by what they are for; their bytes are the same in every format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from modelpack.errors import ManifestError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest


class Role(StrEnum):
    """What a layer is for, in the order in which layers are written."""

    MODEL = "model"
    """Weights: a GGUF, or one shard of a split one; shards stand in their order."""
    PROJECTOR = "projector"
    ADAPTER = "adapter"
    DRAFT = "draft"
    TEMPLATE = "template"
    """A prompt template in Go's template language, as Ollama's TEMPLATE."""
    SYSTEM = "system"
    PARAMS = "params"
    """A JSON object of parameters."""
    MESSAGES = "messages"
    """A JSON array of `{"role", "content"}`."""
    SETTINGS = "settings"
    """A JSON object with some of the keys of `SETTINGS`."""
    LICENSE = "license"
    DOC = "doc"
    OTHER = "other"
    """A file that we carry and do not interpret."""


SETTINGS: Final = ("renderer", "parser", "requires")
"""What a model says to runtimes that have code of their own for some models."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a model."""

    role: Role
    blob: Descriptor
    path: str
    """Relative file path under which the layer travels, `/` between its parts."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What else is noted of the layer, such as the digest of the file it was cut from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about a model besides its files; empty where unknown."""

    architecture: str = ""
    family: str = ""
    name: str = ""
    parameter_size: str = ""
    """As Ollama writes it, `3.2B`."""
    quantization: str = ""
    precision: str = ""
    version: str = ""
    vendor: str = ""
    description: str = ""
    source_url: str = ""
    authors: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    tools: bool = False
    reasoning: bool = False
    created: str = ""
    """RFC 3339, only where the user asked for a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifact:
    """A model: its layers, what is known about it, and the user's labels."""

    layers: tuple[Layer, ...]
    facts: Facts = field(default_factory=Facts)
    labels: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """What a layer for `Role.SETTINGS` says in our format, where a format has it in its config."""

    def of(self, role: Role) -> tuple[Layer, ...]:
        """Return the layers that are for *role*, in order."""
        return tuple(layer for layer in self.layers if layer.role is role)

    def one(self, role: Role) -> Layer | None:
        """Return the layer that is for *role*, or None; the last one counts."""
        found = self.of(role)
        return found[-1] if found else None


class Codec(Protocol):
    """One format."""

    name: str
    """How users name the format."""

    def matches(self, manifest: Manifest) -> bool:
        """Tell whether *manifest* is in this format."""
        ...

    def decode(self, manifest: Manifest, config: bytes) -> ModelArtifact:
        """Return the model in *manifest*; *config* is its config blob.

        Raises:
            ManifestError: it is in this format and broken.
        """
        ...

    def encode(self, artifact: ModelArtifact) -> tuple[bytes, Manifest]:
        """Return the config blob and the manifest of *artifact*; same artifact, same bytes."""
        ...


def safe_path(path: str) -> str:
    """Return *path*, a relative path that stays below its folder.

    Raises:
        ManifestError: it is absolute, climbs out, or has control characters.
    """
    parts = path.split("/")
    if (
        not path
        or path.startswith("/")
        or "\\" in path
        or any(part in ("", ".", "..") for part in parts)
        or not path.isprintable()
    ):
        raise ManifestError(f"a layer has the unsafe file path {path[:100]!r}")
    return path
