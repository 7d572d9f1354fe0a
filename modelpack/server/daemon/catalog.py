"""The models in the store as the APIs tell of them; what was read once is kept by its digest."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from modelpack import limits
from modelpack.engine.purpose import Purpose
from modelpack.errors import ModelPackError, NotFoundError
from modelpack.formats.artifact import Role
from modelpack.modelfile.parameters import ParameterValue
from modelpack.ops.context import Context, short_name
from modelpack.ops.model import StoredModel
from modelpack.ops.models import capabilities_of
from modelpack.ops.run import files_of, purpose
from modelpack.server.daemon.pool.values import Model
from modelpack.store.names import Entry

T = TypeVar("T")

_LISTED: Final = 8_192
"""Models whose details are kept for lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a list says of a model."""

    name: str
    digest: str
    """64 hex digits, without the algorithm."""
    size: int
    modified_ns: int
    details: Mapping[str, object] = field(hash=False)
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model that can be loaded, and what it is for."""

    name: str
    asked: str
    """What the client called it."""
    model: Model
    details: Mapping[str, object] = field(hash=False)
    capabilities: tuple[str, ...]
    purpose: Purpose
    parameters: Mapping[str, ParameterValue] = field(hash=False)

    @property
    def digest(self) -> str:
        """The digest of its manifest, without the algorithm."""
        return self.model.digest.removeprefix("sha256:")


class Catalog:
    """Opens the models of *context*."""

    def __init__(self, context: Context, warn: Callable[[str], None]) -> None:
        self.context = context
        self._warn = warn
        self._opened: _Kept[Opened] = _Kept(limits.MODELS_OPEN)
        self._details: _Kept[Details] = _Kept(_LISTED)

    async def open(self, name: str) -> Opened:
        """Return the model that a client calls *name*.

        Raises:
            NotFoundError: it is not in the store.
            InputError: *name* is no name.
        """
        try:
            entry = self.context.find(name)
        except NotFoundError:
            raise NotFoundError(f'model "{name[:200]}" not found, try pulling it first') from None
        digest = str(entry.manifest.digest)
        kept = self._opened.get(digest)
        if kept is None:
            kept = await asyncio.to_thread(self._open, entry)
            self._opened.put(digest, kept)
        return replace(kept, asked=name, name=short_name(entry.reference))

    async def opened(self, model: Model) -> Opened:
        """Return what is known of *model*, which was opened before."""
        kept = self._opened.get(model.digest)
        return kept if kept is not None else await self.open(model.files.name)

    def list(self) -> list[Details]:
        """Return all models, newest first. Reads files: not for the event loop."""
        found: list[Details] = []
        for entry in self.context.store.list(self._warn):
            try:
                found.append(self._detail(entry))
            except ModelPackError as error:
                self._warn(f"{entry.reference}: {error}")
        return sorted(found, key=lambda details: (-details.modified_ns, details.name))

    def _open(self, entry: Entry) -> Opened:
        stored = StoredModel(self.context.store, entry.reference, entry.manifest)
        files = files_of(stored)
        return Opened(
            name=short_name(entry.reference),
            asked="",
            model=Model(str(entry.manifest.digest), files),
            details=details_of(stored),
            capabilities=capabilities_of(stored),
            purpose=purpose(stored),
            parameters=files.parameters,
        )

    def _detail(self, entry: Entry) -> Details:
        digest = entry.manifest.digest
        kept = self._details.get(str(digest))
        if kept is None:
            stored = StoredModel(self.context.store, entry.reference, entry.manifest)
            kept = Details(
                name="",
                digest=digest.hex,
                size=entry.manifest.size,
                modified_ns=0,
                details=details_of(stored),
                capabilities=capabilities_of(stored),
            )
            self._details.put(str(digest), kept)
        modified = int(entry.modified * 1e9)
        return replace(kept, name=short_name(entry.reference), modified_ns=modified)


def details_of(stored: StoredModel) -> dict[str, object]:
    """Return `details` as Ollama's API has it."""
    facts = stored.artifact.facts
    family = facts.family or facts.architecture
    families = [family] if family else []
    if stored.artifact.of(Role.PROJECTOR):
        families.append("clip")
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": families,
        "parameter_size": facts.parameter_size,
        "quantization_level": facts.quantization,
    }


class _Kept(Generic[T]):
    """Values by key; the one that was used least recently goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: str, value: T) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
