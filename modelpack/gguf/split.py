"""Cut one GGUF into split files, so that each can be a layer of its own.

The first shard holds all metadata and no tensor; the others hold whole groups of tensors. Every
shard is a GGUF that llama.cpp loads with its siblings. Besides llama.cpp's `split.*` keys the
first shard carries what the way back needs: `modelpack.split.size`, the size of the source in
bytes, and, where the groups changed the order, `modelpack.split.order`, the source position of
each tensor in shard order.

Pure: a header in, a plan of byte ranges out. `modelpack.gguf.join` is the inverse.

See: https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelpack.gguf.group import Group
from modelpack.gguf.reader import Header
from modelpack.gguf.values import (
    DEFAULT_ALIGNMENT,
    TensorInfo,
    Value,
    ValueType,
    aligned,
)
from modelpack.gguf.writer import assemble_header, encode_field

SPLIT_NO = "split.no"
SPLIT_COUNT = "split.count"
SPLIT_TENSORS = "split.tensors.count"
SOURCE_SIZE = "modelpack.split.size"
SOURCE_ORDER = "modelpack.split.order"
SPLIT_KEYS = (SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS, SOURCE_SIZE, SOURCE_ORDER)
"""What a cut adds to the metadata, and a join takes away."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the source: *length* from *offset*, then *padding* zeros."""

    offset: int
    length: int
    padding: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """One split file: a header of its own and pieces of the source behind it."""

    header: bytes
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + sum(piece.length + piece.padding for piece in self.pieces)


def split_name(stem: str, number: int, count: int) -> str:
    """Return llama.cpp's file name of shard *number* (from 1) of *count*."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def why_not_split(header: Header) -> str | None:
    """Say why the file cannot be cut and put together again byte for byte, or None if it can."""
    if not header.tensors:
        return "it has no tensors"
    if any(key in header.fields for key in SPLIT_KEYS):
        return "it is part of a split model already"
    if header.file_size > header.data_offset + aligned(
        header.tensors[-1].offset + header.tensors[-1].size, header.alignment
    ):
        return "it has bytes behind its last tensor"
    fields = header.raw[24 : header.metadata_end]
    rebuilt = assemble_header(
        fields,
        len(header.fields),
        header.tensors,
        version=header.version,
        alignment=header.alignment,
    )
    return None if rebuilt == header.raw else "its header is not in the usual form"


def plan_split(header: Header, groups: Sequence[Group]) -> tuple[Shard, ...]:
    """Return the shards for *groups*: the metadata first, then one for each group."""
    count = len(groups) + 1
    shards = [_metadata_shard(header, groups, count)]
    shards += [_tensor_shard(header, group, i + 1, count) for i, group in enumerate(groups)]
    return tuple(shards)


def _split_fields(number: int, count: int, tensors: int) -> list[tuple[str, Value]]:
    return [
        (SPLIT_NO, Value.uint16(number)),
        (SPLIT_COUNT, Value.uint16(count)),
        (SPLIT_TENSORS, Value.int32(tensors)),
    ]


def _metadata_shard(header: Header, groups: Sequence[Group], count: int) -> Shard:
    extra = _split_fields(0, count, len(header.tensors))
    extra.append((SOURCE_SIZE, Value.uint64(header.file_size)))
    order = [index for group in groups for index in group]
    if order != sorted(order):
        extra.append((SOURCE_ORDER, Value.array(ValueType.UINT32, order)))
    fields = header.raw[24 : header.metadata_end]
    fields += b"".join(encode_field(key, value) for key, value in extra)
    raw = assemble_header(
        fields,
        len(header.fields) + len(extra),
        (),
        version=header.version,
        alignment=header.alignment,
    )
    return Shard(raw, ())


def _tensor_shard(header: Header, group: Group, number: int, count: int) -> Shard:
    fields = _split_fields(number, count, len(header.tensors))
    if header.alignment != DEFAULT_ALIGNMENT:
        fields.insert(0, ("general.alignment", Value.uint32(header.alignment)))
    rows: list[TensorInfo] = []
    pieces: list[Piece] = []
    offset = 0
    for index in group:
        tensor = header.tensors[index]
        rows.append(TensorInfo(tensor.name, tensor.shape, tensor.type, offset, tensor.size))
        room = aligned(tensor.size, header.alignment)
        start = header.data_offset + tensor.offset
        length = min(room, header.file_size - start)
        _append(pieces, Piece(start, length, room - length))
        offset += room
    raw = assemble_header(
        b"".join(encode_field(key, value) for key, value in fields),
        len(fields),
        rows,
        version=header.version,
        alignment=header.alignment,
    )
    return Shard(raw, tuple(pieces))


def _append(pieces: list[Piece], piece: Piece) -> None:
    if pieces:
        last = pieces[-1]
        if not last.padding and last.offset + last.length == piece.offset:
            pieces[-1] = Piece(last.offset, last.length + piece.length, piece.padding)
            return
    pieces.append(piece)
