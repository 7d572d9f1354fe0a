"""What there is to a model that is to be run: files by path, texts by value."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from modelpack.modelfile.model import Message
    from modelpack.modelfile.parameters import ParameterValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """A model, ready to be loaded."""

    name: str
    weights: tuple[Path, ...]
    """One GGUF, or all its shards in order; under any names."""
    adapters: tuple[Path, ...] = ()
    projectors: tuple[Path, ...] = ()
    """Parts that let the model see; text does not need them."""
    template: str | None = None
    """The Go template of the Modelfile; None leaves it to the GGUF's own."""
    system: str | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=lambda: MappingProxyType({}))
    messages: tuple[Message, ...] = ()
    """The conversation that every conversation begins with."""
