"""Save models as an OCI image layout, a folder or a tar, and load them from one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeAlias

from modelpack import limits
from modelpack.content.base import Sink
from modelpack.content.disk import replacing
from modelpack.content.layout import FolderLayout
from modelpack.content.layout_source import LayoutSource
from modelpack.content.referrers import copy_with_referrers
from modelpack.content.tarball import TarLayout, TarWriter
from modelpack.errors import InputError, NotFoundError
from modelpack.formats.detect import detect
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.ops.export import writing
from modelpack.progress import Event, Report, silent

Moved: TypeAlias = list[tuple[Reference, Manifest]]
"""The models that were saved or loaded, with their names."""
_TAR = ".tar"
_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")


def save(
    context: Context, texts: Sequence[str], target: Path | BinaryIO, report: Report = silent
) -> Moved:
    """Write the local models *texts* to *target*: a stream, a file `*.tar`, or a folder.

    A folder that is an OCI image layout already gets them besides what it has. A tar depends on
    nothing but the models.

    Raises:
        NotFoundError: a model is not in the store.
        InputError: *target* is something else than a layout.
        StoreError: it cannot be written.
        IntegrityError: the store is damaged.
    """
    with context.store.reading():
        references = sorted({context.find(text).reference for text in texts}, key=str)
        return _save(context, references, target, report)


def load(
    context: Context,
    source: Path | BinaryIO,
    name: str = "",
    report: Report = silent,
    warn: Callable[[str], None] = lambda _warning: None,
) -> Moved:
    """Bring the models in the layout *source* into the store: a folder, a tar, or a tar's stream.

    They keep their names; *name* gives the only one another. Those whose names cannot be used stay
    behind, and *warn* hears of each. A blob that is there already is read, and replaced if damaged.

    Raises:
        NotFoundError: there is nothing at *source*.
        InputError: it is not a layout, holds no model, or does not say what they are called in a
            way that can be used.
        IntegrityError: it is damaged.
    """
    with ExitStack() as opened:
        layout = _layout(context, source, opened)
        targets = _targets(layout, context.parse(name) if name else None, warn)
        opened.enter_context(context.store.adding())
        loaded: Moved = []
        options = replace(context.copying("pull", check=detect), verify=True)
        for entry, target in targets:
            report(Event(action="status", item=f"loading {target}"))
            names = (replace(target, digest=entry.digest), target)
            copied = copy_with_referrers(layout, context.store, names, options, report)
            loaded.append((target, copied.manifest))
        return loaded


def _save(
    context: Context, names: Sequence[Reference], target: Path | BinaryIO, report: Report
) -> Moved:
    with _sink(target) as sink:
        streams = isinstance(sink, TarWriter)
        options = context.copying("push")
        if streams:
            options = replace(options, concurrency=1)
        said = _exporting(report)
        return [
            (name, copy_with_referrers(context.store, sink, (name, name), options, said).manifest)
            for name in names
        ]


def _layout(context: Context, source: Path | BinaryIO, opened: ExitStack) -> LayoutSource:
    if not isinstance(source, Path):
        spool = opened.enter_context(context.store.spool())
        with context.store.errors():
            shutil.copyfileobj(source, spool, limits.BLOCK)
            spool.flush()
        return opened.enter_context(TarLayout(spool, "the tar on stdin"))
    if source.is_dir():
        return FolderLayout(source)
    return opened.enter_context(TarLayout(source))


def _targets(
    layout: LayoutSource, name: Reference | None, warn: Callable[[str], None]
) -> list[tuple[Descriptor, Reference]]:
    """Return which entry gets which name in the store."""
    models = layout.models()
    if not models:
        raise NotFoundError(f"{layout.where} holds no model")
    if name is not None:
        if len({entry.digest for _, entry in models}) > 1:
            raise InputError(f"{layout.where} holds {len(models)} models; one name is not enough")
        if name.digest:
            raise InputError(f"a name cannot have a digest: {name}")
        return [(models[0][1], name)]
    named: list[tuple[Descriptor, Reference]] = []
    unusable: list[str] = []
    for said, entry in models:
        if not _is_name(said):
            continue
        try:
            named.append((entry, Reference.parse(said)))
        except InputError as error:
            unusable.append(str(error))
    if not named:
        why = f": {unusable[0]}" if unusable else ""
        raise InputError(
            f"{layout.where} does not say what its models are called{why}", hint="name it with -t"
        )
    for problem in unusable:
        warn(f"{layout.where}: skipped a model: {problem}")
    return named


def _is_name(said: str) -> bool:
    """Tell a model's name from a mere tag, which is all that some tools write."""
    return "/" in said or ":" in said


def _exporting(report: Report) -> Report:
    def said(event: Event) -> None:
        report(event if event.is_text else replace(event, action="export"))

    return said


@contextmanager
def _sink(target: Path | BinaryIO) -> Iterator[Sink]:
    """Yield the sink for *target*, and finish it if all went well."""
    if not isinstance(target, Path):
        writer = TarWriter(target)
        yield writer
        writer.finish()
    elif target.suffix == _TAR:
        with _replacing(target) as file:
            writer = TarWriter(file)
            yield writer
            writer.finish()
    elif target.name.endswith(_COMPRESSED):
        raise InputError(
            f"{target}: tars are written as they are",
            hint="models do not get smaller; `-o -` writes to a pipe",
        )
    else:
        yield FolderLayout.create(target)


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes *target* when it is complete and durable."""
    if target.is_dir():
        raise InputError(f"{target} is a folder", hint=f"a name without {_TAR} is for folders")
    with replacing(target, errors=lambda: writing(target)) as file:
        yield file
