"""A model in the store, opened: its artifact, its texts and the files of its layers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from modelpack import limits
from modelpack.errors import IntegrityError, ManifestError
from modelpack.formats.artifact import Layer, ModelArtifact, Role
from modelpack.formats.detect import detect
from modelpack.gguf.reader import Header, read_header
from modelpack.modelfile import Message
from modelpack.modelfile.parameters import ParameterValue, check_parameters
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore

_ONLY_PROMPT = re.compile(r"\s*\{\{-?\s*\.Prompt\s*-?\}\}\s*")


class StoredModel:
    """The model that *manifest* describes, in *store*, called *reference*."""

    def __init__(self, store: LocalStore, reference: Reference, manifest: Manifest) -> None:
        self.reference = reference
        self.manifest = manifest
        self._store = store
        config = store.read(manifest.config, limits.CONFIG)
        self.artifact: ModelArtifact = detect(manifest).decode(manifest, config)

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.reference.name

    def text(self, role: Role) -> str | None:
        """Return the text of the layer for *role*, or None where there is none.

        Raises:
            IntegrityError: the layer is damaged, or not UTF-8.
        """
        layer = self.artifact.one(role)
        return None if layer is None else self._text(layer)

    def template(self) -> str | None:
        """Return the Go template that makes prompts, or None where the GGUF's own does.

        A model with a renderer of Ollama's has a template that only repeats the prompt.
        """
        text = self.text(Role.TEMPLATE)
        if text is not None and _ONLY_PROMPT.fullmatch(text) and self.settings().get("renderer"):
            return None
        return text

    def licenses(self) -> tuple[str, ...]:
        """Return the licence texts."""
        return tuple(self._text(layer) for layer in self.artifact.of(Role.LICENSE))

    def parameters(self) -> dict[str, ParameterValue]:
        """Return the parameters the model was built with, checked."""
        value = self._json(Role.PARAMS)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ManifestError(f"the parameters of {self.name} are not a JSON object")
        return check_parameters(value)

    def settings(self) -> dict[str, object]:
        """Return `renderer`, `parser` and `requires`, as far as they are set."""
        value = self._json(Role.SETTINGS)
        return {**self.artifact.settings, **(value if isinstance(value, dict) else {})}

    def messages(self) -> tuple[Message, ...]:
        """Return the conversation that the model begins with."""
        value = self._json(Role.MESSAGES)
        turns = value if isinstance(value, list) else []
        return tuple(
            Message(str(turn.get("role", "")), str(turn.get("content", "")))
            for turn in turns
            if isinstance(turn, dict)
        )

    def files(self, role: Role) -> tuple[Path, ...]:
        """Return the files of the layers for *role*, straight from the store.

        Raises:
            IntegrityError: one is missing or has another size.
        """
        layers = self.artifact.of(role)
        for layer in layers:
            if not self._store.has(layer.blob):
                raise IntegrityError(
                    f"{layer.path} of {self.name} is missing or damaged",
                    hint=f"modelpack pull {self.name}",
                )
        return tuple(self._store.path(layer.blob.digest) for layer in layers)

    def headers(self) -> tuple[Header, ...]:
        """Return the GGUF headers of the weights, in order."""
        return tuple(read_header(path) for path in self.files(Role.MODEL))

    def _text(self, layer: Layer) -> str:
        try:
            return self._store.read(layer.blob, limits.TEXT_LAYER).decode()
        except UnicodeDecodeError:
            raise IntegrityError(f"{layer.path} of {self.name} is not UTF-8 text") from None

    def _json(self, role: Role) -> object:
        text = self.text(role)
        if text is None:
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ManifestError(f"the {role} layer of {self.name} is not JSON") from None
