"""Carry out a plan: put every layer into a store and describe the model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from modelpack.builder.ingest import ingest_file, ingest_shards
from modelpack.builder.plan import FilePart, Part, SplitPart, TextPart
from modelpack.content.base import Advance, BlobFiles
from modelpack.formats.artifact import Layer, Role
from modelpack.oci.descriptor import Descriptor
from modelpack.progress import Event, Report

SOURCE_DIGEST = "io.modelpack.source.digest"
"""On the first shard: the digest of the file that was cut."""
SOURCE_SIZE = "io.modelpack.source.size"
"""On the first shard: its size in bytes."""
SOURCE_NAME = "io.modelpack.source.filename"
"""On the first shard: its name."""


def execute(
    parts: Sequence[Part], files: BlobFiles, *, link: bool, report: Report
) -> tuple[Layer, ...]:
    """Store what *parts* name and return the layers; with *link*, files as hard links."""
    layers: list[Layer] = []
    for part in parts:
        if isinstance(part, Layer):
            layers.append(part)
        elif isinstance(part, TextPart):
            blob = Descriptor("", files.add(part.data), len(part.data))
            layers.append(Layer(part.role, blob, part.path))
        elif isinstance(part, FilePart):
            size = part.file.stat().st_size
            advance = _advance(report, part.path, size)
            blob = ingest_file(files, part.file, link=link, advance=advance)
            layers.append(Layer(part.role, blob, part.path))
            report(_done(part.path, size))
        else:
            layers += _execute_split(part, files, report)
    return tuple(layers)


def _execute_split(part: SplitPart, files: BlobFiles, report: Report) -> list[Layer]:
    total = part.file.stat().st_size
    advance = _advance(report, part.file.name, total, passes=2)
    blobs, digest = ingest_shards(files, part.file, part.shards, advance)
    layers = [Layer(Role.MODEL, blob, name) for blob, name in zip(blobs, part.names, strict=True)]
    source = {
        SOURCE_DIGEST: str(digest),
        SOURCE_SIZE: str(total),
        SOURCE_NAME: part.file.name,
    }
    layers[0] = replace(layers[0], annotations=source)
    report(_done(part.file.name, total))
    return layers


def _advance(report: Report, item: str, total: int, *, passes: int = 1) -> Advance:
    lock = threading.Lock()
    completed = 0

    def advance(count: int) -> None:
        nonlocal completed
        with lock:
            completed += count
            done = min(completed // passes, total)
            report(Event(action="build", item=item, total=total, completed=done))

    return advance


def _done(item: str, total: int) -> Event:
    return Event(action="build", item=item, total=total, completed=total, done=True)
