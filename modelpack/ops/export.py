"""Give back the GGUF a model was built from, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelpack import limits
from modelpack.builder.execute import SOURCE_DIGEST
from modelpack.content.disk import replacing, write_all
from modelpack.errors import GgufError, InputError, IntegrityError, NotFoundError, StoreError
from modelpack.formats.artifact import Layer, Role
from modelpack.gguf.join import Joined, plan_join
from modelpack.gguf.reader import read_header
from modelpack.gguf.split import split_name
from modelpack.oci.digest import Digest
from modelpack.ops.context import Context
from modelpack.ops.models import open_model
from modelpack.progress import Event, Report, silent

_AGAIN = "the local copy is damaged; pull or build the model again"


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
        if not source:  # nobody noted what comes out, so what goes in is checked
            _check_blobs(layers, paths)
        joined = _plan(paths)
        wanted = Digest.parse(source) if source else None
        blocks = _joined_blocks(joined, paths)
        with _aside(target) as file:
            return [_write(file, target, blocks, joined.size, wanted, report)]
    stem = target.name.removesuffix(".gguf")
    names = (
        [target]
        if len(paths) == 1
        else [target.with_name(split_name(stem, i + 1, len(paths))) for i in range(len(paths))]
    )
    written: list[Exported] = []
    with ExitStack() as asides:  # all files of a set appear, or none
        for name, path, layer in zip(names, paths, layers, strict=True):
            file = asides.enter_context(_aside(name))
            size, wanted = layer.blob.size, layer.blob.digest
            blocks = _file_blocks(path, 0, size)
            written.append(_write(file, name, blocks, size, wanted, report))
    return written


def _plan(paths: Sequence[Path]) -> Joined:
    try:
        return plan_join([read_header(path) for path in paths])
    except GgufError as error:
        raise IntegrityError(
            f"the store does not give back the model: {error}", hint=_AGAIN
        ) from None


def _check_blobs(layers: Sequence[Layer], paths: Sequence[Path]) -> None:
    for layer, path in zip(layers, paths, strict=True):
        with path.open("rb", buffering=0) as file:
            found = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        if found != layer.blob.digest:
            raise IntegrityError(f"{layer.path} is damaged: its digest is {found}", hint=_AGAIN)


def _write(
    file: BinaryIO,
    target: Path,
    blocks: Iterator[memoryview],
    size: int,
    wanted: Digest | None,
    report: Report,
) -> Exported:
    seen = hashlib.sha256()
    done = 0
    for block in blocks:
        seen.update(block)
        done += len(block)
        write_all(file.fileno(), block)
        report(Event(action="export", item=target.name, total=size, completed=done))
    digest = Digest(seen.hexdigest())
    if done != size or (wanted is not None and digest != wanted):
        raise IntegrityError(
            f"the store does not give back {wanted or target.name}: it gives {digest}", hint=_AGAIN
        )
    report(Event(action="export", item=target.name, total=size, completed=size, done=True))
    return Exported(target, digest, size)


@contextmanager
def _aside(target: Path) -> Iterator[BinaryIO]:
    """Write beside *target*, and move it there only if all went well."""
    with writing(target), replacing(target) as file:
        yield file


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the file system says about the file *target* into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from None


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
