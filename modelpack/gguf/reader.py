"""Read the header of a GGUF file: metadata and tensor table, never tensor data.

The file is hostile until checked: every count is compared with the bytes that are left before
anything is allocated for it, offsets must be the padded running sum that llama.cpp insists on,
and the data the table promises must be there. Arrays are stepped over and decoded on request,
so that a vocabulary of 150,000 tokens costs milliseconds.

See: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#file-structure
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from modelpack import limits
from modelpack.errors import GgufError, NotFoundError
from modelpack.gguf.values import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    SCALAR_FORMATS,
    VERSIONS,
    Scalar,
    TensorInfo,
    Value,
    ValueType,
    aligned,
    tensor_size,
)

Buffer: TypeAlias = bytes | mmap.mmap

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_DIMENSIONS = 4
_PREAMBLE = 24
_MAX_DIMENSION = 2**48


@dataclass(frozen=True, slots=True)
class Field:
    """Where one metadata value lies in the header."""

    type: ValueType
    element: ValueType | None
    count: int
    start: int


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one GGUF file, with the bytes it was read from."""

    raw: bytes
    """The file from its first byte to the start of the tensor data."""
    version: int
    alignment: int
    fields: dict[str, Field]
    metadata_end: int
    """Offset in `raw` behind the last metadata value."""
    tensors: tuple[TensorInfo, ...]
    file_size: int

    @property
    def data_offset(self) -> int:
        """Where tensor data begins in the file."""
        return len(self.raw)

    @property
    def data_end(self) -> int:
        """Where the last tensor ends in the file, without padding."""
        if not self.tensors:
            return self.data_offset
        last = self.tensors[-1]
        return self.data_offset + last.offset + last.size

    def value(self, key: str) -> Value | None:
        """Return the metadata value of *key*, or None where there is none."""
        field = self.fields.get(key)
        return None if field is None else _decode(self.raw, field)

    def text(self, key: str) -> str | None:
        """Return the string stored under *key*, or None."""
        value = self.value(key)
        return value.value if value is not None and isinstance(value.value, str) else None

    def integer(self, key: str) -> int | None:
        """Return the integer stored under *key*, or None."""
        field = self.fields.get(key)
        if field is None or field.type in (ValueType.ARRAY, ValueType.STRING):
            return None
        number = _decode(self.raw, field).value
        return number if isinstance(number, int) and not isinstance(number, bool) else None


def read_header(path: Path) -> Header:
    """Read the header of the GGUF file at *path*.

    Raises:
        NotFoundError: there is no such file, or it cannot be read.
        GgufError: it is not GGUF, is cut short, or contradicts itself.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for its writer
            raise GgufError(f"not a regular file: {path}")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < _PREAMBLE:
                raise GgufError(f"not a GGUF file: {path}", hint="it is too short for a header")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                return parse_header(buffer, size, str(path))
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror or error}") from None


def parse_header(buffer: Buffer, file_size: int, name: str) -> Header:
    """Read the header at the start of *buffer*, of a file of *file_size* bytes called *name*."""
    try:
        return _parse(buffer, file_size, name)
    except struct.error:
        raise GgufError(f"truncated GGUF: {name}: the file ends inside its header") from None
    except UnicodeDecodeError:
        raise GgufError(f"broken GGUF: {name}: a key or tensor name is not UTF-8") from None


def _parse(buffer: Buffer, file_size: int, name: str) -> Header:
    version, tensor_count, field_count = _preamble(buffer, name)
    fields: dict[str, Field] = {}
    at = _PREAMBLE
    for _ in range(field_count):
        key, at = _string(buffer, at, limits.GGUF_KEY, name)
        if key in fields:
            raise GgufError(f"broken GGUF: {name}: metadata key {key[:80]!r} stands there twice")
        fields[key], at = _field(buffer, at, key, name)
    metadata_end = at
    alignment = _alignment(buffer, fields, name)
    tensors, at = _tensors(buffer, at, tensor_count, name)
    start = aligned(at, alignment)
    if start > limits.GGUF_HEADER:
        raise GgufError(f"broken GGUF: {name}: its header is larger than 512 MiB")
    if not tensors:
        start = min(start, file_size)
    _check_tensors(tensors, start, file_size, alignment, name)
    if len(buffer) < start:
        raise GgufError(f"truncated GGUF: {name}: the file ends inside its header")
    raw = bytes(buffer[:start])
    return Header(raw, version, alignment, fields, metadata_end, tuple(tensors), file_size)


def _preamble(buffer: Buffer, name: str) -> tuple[int, int, int]:
    if buffer[:4] != MAGIC:
        raise GgufError(
            f"not a GGUF file: {name}",
            hint="models in other formats are converted with llama.cpp's convert_hf_to_gguf.py",
        )
    (version,) = _U32.unpack_from(buffer, 4)
    if version and version & 0xFFFF == 0:
        raise GgufError(
            f"big-endian GGUF is not supported: {name}",
            hint="convert it with llama.cpp's gguf_convert_endian.py",
        )
    if version not in VERSIONS:
        raise GgufError(f"GGUF version {version} is not supported: {name}", hint="we read 2 and 3")
    (tensors,) = _U64.unpack_from(buffer, 8)
    (fields,) = _U64.unpack_from(buffer, 16)
    if fields > limits.GGUF_METADATA:
        raise GgufError(f"broken GGUF: {name}: it claims {fields:,} metadata keys")
    if tensors > limits.GGUF_TENSORS:
        raise GgufError(f"broken GGUF: {name}: it claims {tensors:,} tensors")
    return version, tensors, fields


def _string(buffer: Buffer, at: int, limit: int, name: str) -> tuple[str, int]:
    (length,) = _U64.unpack_from(buffer, at)
    at += 8
    if length > limit:
        raise GgufError(f"broken GGUF: {name}: a string of {length:,} bytes")
    if at + length > len(buffer):
        raise GgufError(f"truncated GGUF: {name}: the file ends inside a string")
    return str(buffer[at : at + length], "utf-8"), at + length


def _field(buffer: Buffer, at: int, key: str, name: str) -> tuple[Field, int]:
    kind = _value_type(buffer, at, key, name)
    at += 4
    if kind is not ValueType.ARRAY:
        return Field(kind, None, 1, at), _skip(buffer, at, kind, 1, name)
    element = _value_type(buffer, at, key, name)
    (count,) = _U64.unpack_from(buffer, at + 4)
    at += 12
    if element is ValueType.ARRAY:
        raise GgufError(f"broken GGUF: {name}: {key[:80]!r} is an array of arrays")
    if count > limits.GGUF_ARRAY:
        raise GgufError(f"broken GGUF: {name}: {key[:80]!r} claims {count:,} elements")
    return Field(kind, element, count, at), _skip(buffer, at, element, count, name)


def _value_type(buffer: Buffer, at: int, key: str, name: str) -> ValueType:
    (number,) = _U32.unpack_from(buffer, at)
    try:
        return ValueType(number)
    except ValueError:
        raise GgufError(
            f"broken GGUF: {name}: {key[:80]!r} has the unknown value type {number}"
        ) from None


def _skip(buffer: Buffer, at: int, kind: ValueType, count: int, name: str) -> int:
    end = len(buffer)
    if kind is not ValueType.STRING:
        at += struct.calcsize("<" + SCALAR_FORMATS[kind]) * count
    else:
        if count * 8 > end - at:
            raise GgufError(f"truncated GGUF: {name}: {count:,} strings do not fit into the file")
        unpack, longest = _U64.unpack_from, limits.GGUF_STRING
        for _ in range(count):
            (length,) = unpack(buffer, at)
            if length > longest:
                raise GgufError(f"broken GGUF: {name}: a string of {length:,} bytes")
            at += 8 + length
    if at > end:
        raise GgufError(f"truncated GGUF: {name}: the file ends inside its metadata")
    return at


def _alignment(buffer: Buffer, fields: dict[str, Field], name: str) -> int:
    field = fields.get("general.alignment")
    if field is None:
        return DEFAULT_ALIGNMENT
    if field.type is not ValueType.UINT32:
        raise GgufError(f"broken GGUF: {name}: general.alignment is not a uint32")
    (alignment,) = _U32.unpack_from(buffer, field.start)
    if alignment == 0 or alignment & (alignment - 1) or alignment > limits.GGUF_HEADER:
        raise GgufError(f"broken GGUF: {name}: alignment {alignment} is not a power of two")
    return int(alignment)


def _tensors(buffer: Buffer, at: int, count: int, name: str) -> tuple[list[TensorInfo], int]:
    found: list[TensorInfo] = []
    for _ in range(count):
        tensor, at = _string(buffer, at, limits.GGUF_NAME, name)
        (dimensions,) = _U32.unpack_from(buffer, at)
        if dimensions > _DIMENSIONS:
            raise GgufError(f"broken GGUF: {name}: {tensor!r} has {dimensions} dimensions")
        shape = struct.unpack_from(f"<{dimensions}Q", buffer, at + 4)
        at += 4 + 8 * dimensions
        (kind,) = _U32.unpack_from(buffer, at)
        (offset,) = _U64.unpack_from(buffer, at + 4)
        at += 12
        try:
            size = tensor_size(kind, shape)
        except ValueError as error:
            raise GgufError(f"broken GGUF: {name}: {tensor!r}: {error}") from None
        if any(dimension > _MAX_DIMENSION for dimension in shape):
            raise GgufError(f"broken GGUF: {name}: {tensor!r} has the shape {shape}")
        found.append(TensorInfo(tensor, shape, kind, offset, -1 if size is None else size))
    return found, at


def _check_tensors(
    tensors: list[TensorInfo], start: int, file_size: int, alignment: int, name: str
) -> None:
    names: set[str] = set()
    expected = 0
    for index, tensor in enumerate(tensors):
        if tensor.name in names:
            raise GgufError(f"broken GGUF: {name}: tensor {tensor.name!r} stands there twice")
        names.add(tensor.name)
        if tensor.offset != expected:
            raise GgufError(
                f"broken GGUF: {name}: tensor {tensor.name!r} starts at {tensor.offset:,}, "
                f"its place is {expected:,}"
            )
        size = tensor.size
        if size < 0:  # a type newer than this table: it ends where the next one starts
            last = index + 1 == len(tensors)
            size = (file_size - start if last else tensors[index + 1].offset) - tensor.offset
            if size < 0:
                raise GgufError(f"broken GGUF: {name}: tensor {tensor.name!r} has no room")
            tensors[index] = TensorInfo(tensor.name, tensor.shape, tensor.type, expected, size)
        if start + expected + size > file_size:
            raise GgufError(
                f"truncated GGUF: {name}: tensor {tensor.name!r} ends at byte "
                f"{start + expected + size:,}, the file at {file_size:,}"
            )
        expected = aligned(expected + size, alignment)


def _decode(raw: bytes, field: Field) -> Value:
    kind = field.type if field.element is None else field.element
    if kind is ValueType.STRING:
        strings: list[Scalar] = []
        at = field.start
        for _ in range(field.count):
            (length,) = _U64.unpack_from(raw, at)
            at += 8 + length
            strings.append(raw[at - length : at].decode("utf-8", "replace"))
        items = tuple(strings)
    else:
        items = struct.unpack_from(f"<{field.count}{SCALAR_FORMATS[kind]}", raw, field.start)
    if field.type is ValueType.ARRAY:
        return Value(ValueType.ARRAY, items, field.element)
    return Value(field.type, items[0])
