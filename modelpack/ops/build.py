"""Build a model from a Modelfile into the store."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelpack import limits
from modelpack.builder.execute import execute
from modelpack.builder.facts import facts_of, inherited_facts
from modelpack.builder.plan import Cut, Inputs, plan_build, travelling_path
from modelpack.builder.sources import GgufFiles, existing, locate, one_model, read_gguf_files
from modelpack.errors import InputError, NotFoundError
from modelpack.formats.artifact import Facts, ModelArtifact
from modelpack.formats.modelspec import ModelSpec
from modelpack.modelfile import Modelfile, check, parse
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.ops.model import StoredModel
from modelpack.ops.pull import ensure
from modelpack.progress import Report, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How to build."""

    context: Path
    """The folder that paths in the Modelfile are relative to."""
    tags: Sequence[str] = ()
    """Names for the result; none means the name of the context folder."""
    cut: Cut = field(default_factory=Cut)
    link: bool = False
    """Take files into the store as hard links where the file system can."""
    created: str = ""
    """RFC 3339 time to record; empty for none."""


@dataclass(frozen=True, slots=True)
class Built:
    """What came out."""

    references: tuple[Reference, ...]
    manifest: Manifest
    warnings: tuple[str, ...]


def build(context: Context, source: bytes, options: BuildOptions, report: Report = silent) -> Built:
    """Build the Modelfile *source* and name the result.

    Raises:
        ModelfileError: the Modelfile is wrong; the error knows where.
        InputError: what it names cannot be packed together.
        NotFoundError: a file or model it names is not there.
        GgufError: a file it names is not the GGUF it claims to be.
    """
    return build_from(context, parse(source), options, report)


def build_from(
    context: Context, modelfile: Modelfile, options: BuildOptions, report: Report = silent
) -> Built:
    """Build *modelfile*, which was parsed or checked, and name the result. Raises as `build`."""
    references = _references(context, options)
    with context.store.adding():
        base, inputs = _read_inputs(context, modelfile, options, report)
        parts = plan_build(inputs, options.cut)
        layers = execute(parts, context.store, link=options.link, report=report)
        facts = _facts(context, inputs, base, options)
        labels = {**(base.artifact.labels if base else {}), **modelfile.labels}
        artifact = ModelArtifact(layers=layers, facts=facts, labels=labels)
        config, manifest = ModelSpec().encode(artifact)
        context.store.add(config)
        for reference in references:
            context.store.name(reference, manifest)
    return Built(references, manifest, modelfile.warnings)


def derive(context: Context, modelfile: Modelfile, name: str) -> Built:
    """Build *modelfile*, which was put together and names no files, as *name*.

    Raises:
        InputError: it is not a Modelfile, or *name* is no name.
        NotFoundError: the model that it names is not there.
    """
    check(modelfile)
    with tempfile.TemporaryDirectory() as nowhere:
        return build_from(context, modelfile, BuildOptions(context=Path(nowhere), tags=[name]))


def _references(context: Context, options: BuildOptions) -> tuple[Reference, ...]:
    tags = list(options.tags) or [_folder_name(options.context)]
    references = tuple(context.parse(tag) for tag in tags)
    for reference in references:
        if reference.digest:
            raise InputError(f"a name to build cannot have a digest: {reference}")
    return references


def _folder_name(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return name or "model"


def _read_inputs(
    context: Context, modelfile: Modelfile, options: BuildOptions, report: Report
) -> tuple[StoredModel | None, Inputs]:
    names: list[str] = []
    paths: list[Path] = []
    for text in modelfile.bases:
        path = locate(text, options.context)
        if path is None:
            names.append(text)
        else:
            paths.append(path)
    if len(names) > 1:
        raise InputError(f"FROM names two models: {names[0]} and {names[1]}")
    base = _base(context, names[0], report) if names else None
    model, projectors = one_model(read_gguf_files(paths))
    inputs = Inputs(
        modelfile=modelfile,
        model=model,
        projectors=projectors,
        adapters=_adapters(modelfile, options.context),
        draft=_draft(modelfile, options.context),
        docs=tuple(_doc(text, options.context) for text in modelfile.docs),
        base=base.artifact if base else None,
        base_parameters=base.parameters() if base else {},
        base_settings=base.settings() if base else {},
    )
    return base, inputs


def _base(context: Context, text: str, report: Report) -> StoredModel:
    try:
        entry = ensure(context, text, report)
    except NotFoundError as error:
        raise NotFoundError(
            f"FROM {text}: there is no such file, and no such model: {error}", hint=error.hint
        ) from None
    model = StoredModel(context.store, entry.reference, entry.manifest)
    for blob in entry.manifest.blobs:
        if not context.store.has(blob):
            raise NotFoundError(
                f"FROM {text}: blob {blob.digest.short} is not in the store",
                hint=f"modelpack pull {entry.reference}",
            )
    return model


def _adapters(modelfile: Modelfile, context: Path) -> tuple[GgufFiles, ...]:
    found = read_gguf_files(existing(text, context) for text in modelfile.adapters)
    for files in found:
        if files.kind != "adapter":
            raise InputError(f"{files.paths[0]} is a GGUF {files.kind}, not a LoRA adapter")
    return found


def _draft(modelfile: Modelfile, context: Path) -> GgufFiles | None:
    if modelfile.draft is None:
        return None
    found = read_gguf_files([existing(modelfile.draft, context)])
    if len(found) != 1 or found[0].kind != "model":
        raise InputError(f"DRAFT {modelfile.draft} is not one model")
    return found[0]


def _doc(text: str, context: Path) -> tuple[str, Path]:
    file = existing(text, context)
    if not file.is_file():
        raise InputError(f"DOC {text} is not a file")
    if file.stat().st_size > limits.TEXT_LAYER:
        raise InputError(f"DOC {text} is larger than {limits.TEXT_LAYER:,} bytes")
    return travelling_path(file, context), file


def _facts(
    context: Context, inputs: Inputs, base: StoredModel | None, options: BuildOptions
) -> Facts:
    created = options.created or context.settings.created
    template, vision = inputs.modelfile.template, bool(inputs.projectors)
    if inputs.model is not None:
        return facts_of(inputs.model, template, vision=vision, created=created)
    known = base.artifact.facts if base else Facts()
    return inherited_facts(known, template, vision=vision, created=created)
