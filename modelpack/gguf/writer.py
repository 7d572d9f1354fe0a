"""Write GGUF: a header from values, and tensor data streamed behind it.

Order is kept as given, padding is zero, and version 3 is written, so that the same input always
gives the same bytes.

See: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#file-structure
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from modelpack.errors import GgufError
from modelpack.gguf.values import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    SCALAR_FORMATS,
    TensorInfo,
    Value,
    ValueType,
    aligned,
    tensor_size,
)


def place_tensors(
    tensors: Iterable[tuple[str, Sequence[int], int]], alignment: int = DEFAULT_ALIGNMENT
) -> tuple[TensorInfo, ...]:
    """Give each (name, shape, `ggml_type`) its offset, one behind the other, padded.

    Shapes are in GGUF's order: the contiguous dimension first (numpy's shape reversed).

    Raises:
        GgufError: a type is unknown, or a row is not a whole number of blocks.
    """
    placed: list[TensorInfo] = []
    offset = 0
    for name, shape, kind in tensors:
        try:
            size = tensor_size(kind, shape)
        except ValueError as error:
            raise GgufError(f"tensor {name!r}: {error}") from None
        if size is None:
            raise GgufError(f"tensor {name!r} has the unknown type {kind}")
        placed.append(TensorInfo(name, tuple(shape), kind, offset, size))
        offset = aligned(offset + size, alignment)
    return tuple(placed)


def encode_header(
    metadata: Mapping[str, Value],
    tensors: Sequence[TensorInfo],
    *,
    version: int = 3,
) -> bytes:
    """Return the header of a file with *metadata* and *tensors*, padded to the data section."""
    alignment = metadata.get("general.alignment")
    fields = b"".join(encode_field(key, value) for key, value in metadata.items())
    size = alignment.value if alignment is not None else DEFAULT_ALIGNMENT
    if not isinstance(size, int):
        raise GgufError("general.alignment is not an integer")
    return assemble_header(fields, len(metadata), tensors, version=version, alignment=size)


def assemble_header(
    fields: bytes, field_count: int, tensors: Sequence[TensorInfo], *, version: int, alignment: int
) -> bytes:
    """Return a header around metadata that is encoded already."""
    parts = [MAGIC, struct.pack("<IQQ", version, len(tensors), field_count), fields]
    parts += [_tensor_row(tensor) for tensor in tensors]
    header = b"".join(parts)
    return header + bytes(aligned(len(header), alignment) - len(header))


def encode_field(key: str, value: Value) -> bytes:
    """Encode one metadata key and its value."""
    head = _string(key) + struct.pack("<I", value.type)
    if value.type is not ValueType.ARRAY:
        return head + _scalars(value.type, (value.value,))
    if value.element is None or not isinstance(value.value, tuple):
        raise GgufError(f"{key!r} is an array without an element type")
    head += struct.pack("<IQ", value.element, len(value.value))
    return head + _scalars(value.element, value.value)


def write_gguf(
    stream: BinaryIO,
    metadata: Mapping[str, Value],
    tensors: Sequence[tuple[str, Sequence[int], int, bytes]],
) -> None:
    """Write a whole file to *stream*: each tensor is (name, shape, `ggml_type`, data).

    Shapes are in GGUF's order: the contiguous dimension first (numpy's shape reversed).

    Raises:
        GgufError: a tensor's data is not as long as its shape says.
    """
    alignment = metadata.get("general.alignment")
    step = alignment.value if alignment and isinstance(alignment.value, int) else DEFAULT_ALIGNMENT
    placed = place_tensors(((name, shape, kind) for name, shape, kind, _ in tensors), step)
    stream.write(encode_header(metadata, placed))
    for info, (_, _, _, data) in zip(placed, tensors, strict=True):
        if len(data) != info.size:
            raise GgufError(f"tensor {info.name!r} has {len(data):,} bytes, not {info.size:,}")
        stream.write(data)
        stream.write(bytes(aligned(info.size, step) - info.size))


def _tensor_row(tensor: TensorInfo) -> bytes:
    rank = len(tensor.shape)
    tail = struct.pack(f"<I{rank}QIQ", rank, *tensor.shape, tensor.type, tensor.offset)
    return _string(tensor.name) + tail


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _scalars(kind: ValueType, items: Sequence[object]) -> bytes:
    if kind is ValueType.STRING:
        return b"".join(_string(str(item)) for item in items)
    try:
        return struct.pack(f"<{len(items)}{SCALAR_FORMATS[kind]}", *items)
    except struct.error as error:
        raise GgufError(f"a value does not fit {kind.name}: {error}") from None
