"""Give back the GGUF a model was built from, byte for byte."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelpack import limits
from modelpack.builder.execute import SOURCE_DIGEST
from modelpack.errors import InputError, IntegrityError, NotFoundError, StoreError
from modelpack.formats.artifact import Role
from modelpack.gguf.join import Joined, plan_join
from modelpack.gguf.reader import read_header
from modelpack.gguf.split import split_name
from modelpack.oci.digest import Digest
from modelpack.ops.context import Context
from modelpack.ops.models import open_model
from modelpack.progress import Event, Report, silent


@dataclass(frozen=True, slots=True)
class Exported:
    """One file that was written."""

    path: Path
    digest: Digest
    size: int


def export(
    context: Context, text: str, target: Path, *, merge: bool = False, report: Report = silent
) -> list[Exported]:
    """Write the weights of the local model *text* to *target*, checked against their digest.

    A model that was cut when it was built becomes the one file it was. One that was built from
    split files becomes those files, named after *target* by llama.cpp's convention, or one file
    with *merge*.

    Raises:
        NotFoundError: the model is not there, or has no weights.
        IntegrityError: the store is damaged; nothing is left at *target*.
    """
    model = open_model(context, text)
    layers = model.artifact.of(Role.MODEL)
    paths = model.files(Role.MODEL)
    if not paths:
        raise NotFoundError(f"{model.name} has no weights")
    if target.is_dir():
        raise InputError(f"{target} is a folder", hint="name the file to write")
    source = layers[0].annotations.get(SOURCE_DIGEST)
    if len(paths) > 1 and (source or merge):
        joined = plan_join([read_header(path) for path in paths])
        wanted = Digest.parse(source) if source else None
        return [_write(target, _joined_blocks(joined, paths), joined.size, wanted, report)]
    stem = target.name.removesuffix(".gguf")
    names = (
        [target]
        if len(paths) == 1
        else [target.with_name(split_name(stem, i + 1, len(paths))) for i in range(len(paths))]
    )
    return [
        _write(
            name, _file_blocks(path, 0, layer.blob.size), layer.blob.size, layer.blob.digest, report
        )
        for name, path, layer in zip(names, paths, layers, strict=True)
    ]


def _write(
    target: Path, blocks: Iterator[memoryview], size: int, wanted: Digest | None, report: Report
) -> Exported:
    seen = hashlib.sha256()
    done = 0
    with _aside(target) as descriptor:
        for block in blocks:
            seen.update(block)
            done += len(block)
            view = block
            while view:
                view = view[os.write(descriptor, view) :]
            report(Event(action="export", item=target.name, total=size, completed=done))
        digest = Digest(seen.hexdigest())
        if done != size or (wanted is not None and digest != wanted):
            raise IntegrityError(
                f"the store does not give back {wanted or target.name}: it gives {digest}",
                hint="the local copy is damaged; pull or build the model again",
            )
    report(Event(action="export", item=target.name, total=size, completed=size, done=True))
    return Exported(target, digest, size)


@contextmanager
def _aside(target: Path) -> Iterator[int]:
    """Write beside *target*, and move it there only if all went well."""
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from None
    temporary = Path(name)
    try:
        yield descriptor
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
        temporary.replace(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from None
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _joined_blocks(joined: Joined, paths: Sequence[Path]) -> Iterator[memoryview]:
    yield memoryview(joined.header)
    for piece in joined.pieces:
        yield from _file_blocks(paths[piece.shard], piece.offset, piece.length)
        if piece.padding:
            yield memoryview(bytes(piece.padding))


def _file_blocks(path: Path, offset: int, length: int) -> Iterator[memoryview]:
    view = memoryview(bytearray(limits.BLOCK))
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        left = length
        while left:
            count = file.readinto(view[: min(left, len(view))])
            if not count:
                return
            left -= count
            yield view[:count]
