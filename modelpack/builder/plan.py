"""Modelfile and base to a plan: which layers, each with where its bytes come from.

Pure: what was read comes in as values, and nothing is read or written here.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from modelpack import limits
from modelpack.builder.sources import GgufFiles
from modelpack.errors import InputError
from modelpack.formats.artifact import SETTINGS, Layer, ModelArtifact, Role, safe_path
from modelpack.formats.modelspec import PATHS
from modelpack.gguf.group import Layering, plan_groups
from modelpack.gguf.reader import Header
from modelpack.gguf.split import Shard, plan_split, split_name, why_not_split
from modelpack.modelfile import Modelfile
from modelpack.modelfile.parameters import ParameterValue
from modelpack.oci.manifest import canonical_json


@dataclass(frozen=True, slots=True)
class TextPart:
    """A small layer whose bytes are known."""

    role: Role
    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class FilePart:
    """A layer that is one file as it is."""

    role: Role
    path: str
    file: Path


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A GGUF file that becomes one layer for each shard."""

    file: Path
    names: tuple[str, ...]
    shards: tuple[Shard, ...]


Part: TypeAlias = Layer | TextPart | FilePart | SplitPart
"""Where layers come from; a `Layer` is taken over from the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How weights become layers."""

    size: int | None = 512 * limits.MiB
    """Bytes above which a GGUF is cut, and that a layer should not exceed; None never cuts."""
    layering: Layering | None = None
    """By blocks; or by role within blocks, which is done to files of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that was read before planning."""

    modelfile: Modelfile
    model: GgufFiles | None = None
    projectors: tuple[GgufFiles, ...] = ()
    adapters: tuple[GgufFiles, ...] = ()
    draft: GgufFiles | None = None
    docs: tuple[tuple[str, Path], ...] = ()
    """Travelling path and file of each `DOC`."""
    base: ModelArtifact | None = None
    base_parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    base_settings: Mapping[str, object] = field(default_factory=dict)


def plan_build(inputs: Inputs, cut: Cut) -> tuple[Part, ...]:
    """Return the layers of the model that *inputs* describe, weights first.

    Raises:
        InputError: there is no model, or two layers would travel under one path.
    """
    base = inputs.base or ModelArtifact(layers=())
    parts: list[Part] = list(_weights(inputs, base, cut))
    parts += _files(Role.PROJECTOR, inputs.projectors) or base.of(Role.PROJECTOR)
    parts += _files(Role.ADAPTER, inputs.adapters) or base.of(Role.ADAPTER)
    parts += _files(Role.DRAFT, (inputs.draft,) if inputs.draft else ()) or base.of(Role.DRAFT)
    parts += _texts(inputs, base)
    parts += base.of(Role.LICENSE)
    known = len(base.of(Role.LICENSE))
    for number, text in enumerate(inputs.modelfile.licenses, known + 1):
        path = "LICENSE" if number == 1 else f"LICENSE-{number}"
        parts.append(TextPart(Role.LICENSE, path, text.encode()))
    renewed = {path for path, _ in inputs.docs}
    parts += (layer for layer in base.of(Role.DOC) if layer.path not in renewed)
    parts += (FilePart(Role.DOC, safe_path(path), file) for path, file in inputs.docs)
    parts += base.of(Role.OTHER)
    _check_paths(parts)
    return tuple(parts)


def travelling_path(file: Path, context: Path) -> str:
    """Return the path that *file* travels under: its place below *context*, else its name."""
    try:
        return file.resolve().relative_to(context.resolve()).as_posix()
    except ValueError:
        return file.name


def _weights(inputs: Inputs, base: ModelArtifact, cut: Cut) -> Sequence[Part]:
    if inputs.model is None:
        if not base.of(Role.MODEL):
            raise InputError("FROM names no model", hint="FROM ./model.gguf, or FROM a model")
        return base.of(Role.MODEL)
    files = inputs.model
    if len(files.paths) == 1:
        split = _split(files.paths[0], files.headers[0], cut)
        if split is not None:
            return (split,)
    return _files(Role.MODEL, (files,))


def _split(file: Path, header: Header, cut: Cut) -> SplitPart | None:
    if cut.size is None or (header.file_size <= cut.size and cut.layering != "tensor"):
        return None
    if why_not_split(header) is not None:
        return None
    groups = plan_groups(
        header.tensors,
        max_size=cut.size,
        layering=cut.layering or "block",
        max_groups=limits.LAYERS_WRITTEN - 50,
    )
    shards = plan_split(header, groups)
    name = _usable_name(file.name)
    stem = name[: -len(".gguf")] if name.lower().endswith(".gguf") else name
    names = tuple(split_name(stem, i + 1, len(shards)) for i in range(len(shards)))
    return SplitPart(file, names, shards)


def _files(role: Role, found: Sequence[GgufFiles]) -> tuple[FilePart, ...]:
    return tuple(
        FilePart(role, _usable_name(name), path)
        for files in found
        for name, path in zip(files.names, files.paths, strict=True)
    )


def _usable_name(name: str) -> str:
    if not name.isprintable() or "\\" in name:
        raise InputError(f"the file name {name!r} cannot travel", hint="rename the file")
    return name


def _texts(inputs: Inputs, base: ModelArtifact) -> list[Part]:
    modelfile = inputs.modelfile
    fresh: dict[Role, bytes] = {}
    if modelfile.template is not None:
        fresh[Role.TEMPLATE] = modelfile.template.encode()
    if modelfile.system is not None:
        fresh[Role.SYSTEM] = modelfile.system.encode()
    if modelfile.parameters:
        merged = {**inputs.base_parameters, **modelfile.parameters}
        fresh[Role.PARAMS] = _sorted_json(merged)
    if modelfile.messages:
        turns = [{"role": m.role, "content": m.content} for m in modelfile.messages]
        fresh[Role.MESSAGES] = canonical_json(turns)
    said = {key: value for key in SETTINGS if (value := getattr(modelfile, key)) is not None}
    settings = {**inputs.base_settings, **said}
    if settings and (settings != inputs.base_settings or not base.of(Role.SETTINGS)):
        fresh[Role.SETTINGS] = _sorted_json(settings)
    parts: list[Part] = []
    for role, path in PATHS.items():
        if role in fresh:
            parts.append(TextPart(role, path, fresh[role]))
        else:
            parts += base.of(role)
    return parts


def _sorted_json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _check_paths(parts: Sequence[Part]) -> None:
    seen: set[str] = set()
    for part in parts:
        for path in part.names if isinstance(part, SplitPart) else (part.path,):
            if path in seen:
                raise InputError(
                    f"two files would travel as {posixpath.basename(path)!r}",
                    hint="rename one of them",
                )
            seen.add(path)
