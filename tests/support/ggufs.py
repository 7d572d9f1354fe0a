"""Tiny GGUF files, whole, split and damaged."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from modelpack.gguf.join import plan_join
from modelpack.gguf.reader import Header, parse_header
from modelpack.gguf.split import Shard, split_name
from modelpack.gguf.values import Value, ValueType, tensor_size
from modelpack.gguf.writer import write_gguf

F32, F16, Q4_0, Q4_K = 0, 1, 2, 12

TensorData = tuple[str, Sequence[int], int, bytes]


def tensor(name: str, shape: Sequence[int] = (8,), kind: int = F32, seed: int = 0) -> TensorData:
    """A tensor whose bytes depend on its name and *seed* only."""
    size = tensor_size(kind, shape)
    assert size is not None
    return name, tuple(shape), kind, random.Random(f"{name} {seed}").randbytes(size)


def metadata(**values: Value) -> dict[str, Value]:
    """What a small llama says of itself; underscores twice stand for a dot."""
    return {
        "general.architecture": Value.string("llama"),
        "general.name": Value.string("Tiny"),
        "llama.context_length": Value.uint32(128),
        **{key.replace("__", "."): value for key, value in values.items()},
    }


def llama_tensors(blocks: int = 2, width: int = 64, seed: int = 0) -> list[TensorData]:
    """Tensors with a llama's names."""
    shape = (width, width)
    found = [tensor("token_embd.weight", shape, seed=seed)]
    for block in range(blocks):
        found += [
            tensor(f"blk.{block}.{role}.weight", shape, seed=seed)
            for role in ("attn_q", "attn_k", "attn_v", "attn_output")
        ]
        found.append(tensor(f"blk.{block}.attn_norm.weight", (width,), seed=seed))
        found += [
            tensor(f"blk.{block}.{role}.weight", shape, seed=seed)
            for role in ("ffn_gate", "ffn_up", "ffn_down")
        ]
    found.append(tensor("output_norm.weight", (width,), seed=seed))
    found.append(tensor("output.weight", shape, seed=seed))
    return found


def gguf_bytes(
    fields: Mapping[str, Value] | None = None, tensors: Iterable[TensorData] | None = None
) -> bytes:
    """The bytes of a whole file."""
    stream = io.BytesIO()
    rows = [tensor("token_embd.weight")] if tensors is None else list(tensors)
    write_gguf(stream, metadata() if fields is None else fields, rows)
    return stream.getvalue()


def write_model(path: Path, *, blocks: int = 2, width: int = 64, **fields: Value) -> bytes:
    """Write a small llama to *path* and return its bytes."""
    data = gguf_bytes(metadata(**fields), llama_tensors(blocks, width))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def write_split(folder: Path, stem: str, parts: Sequence[Sequence[TensorData]]) -> list[Path]:
    """Write a split set as other tools do: tensors in every file, and no keys of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(len(part) for part in parts)
    paths: list[Path] = []
    for number, part in enumerate(parts):
        keys = {
            "split.no": Value.uint16(number),
            "split.count": Value.uint16(len(parts)),
            "split.tensors.count": Value.int32(total),
        }
        path = folder / split_name(stem, number + 1, len(parts))
        path.write_bytes(gguf_bytes({**(metadata() if number == 0 else {}), **keys}, part))
        paths.append(path)
    return paths


def parsed(data: bytes) -> Header:
    """The header of the file *data*."""
    return parse_header(data, len(data), "test.gguf")


def shard_bytes(source: bytes, shard: Shard) -> bytes:
    """The file that *shard* plans."""
    return shard.header + b"".join(
        source[piece.offset : piece.offset + piece.length] + bytes(piece.padding)
        for piece in shard.pieces
    )


def join_bytes(files: Sequence[bytes]) -> bytes:
    """Put shards, in order, together."""
    joined = plan_join([parsed(file) for file in files])
    out = joined.header + b"".join(
        files[piece.shard][piece.offset : piece.offset + piece.length] + bytes(piece.padding)
        for piece in joined.pieces
    )
    assert len(out) == joined.size
    return out


def raw_string(text: str | bytes) -> bytes:
    """A GGUF string."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def raw_field(key: str | bytes, kind: int, body: bytes) -> bytes:
    """A metadata field with any body."""
    return raw_string(key) + struct.pack("<I", kind) + body


def raw_tensor(name: str | bytes, shape: Sequence[int], kind: int = F32, offset: int = 0) -> bytes:
    """A row of the tensor table with any content."""
    rank = len(shape)
    return raw_string(name) + struct.pack(f"<I{rank}QIQ", rank, *shape, kind, offset)


def raw_gguf(
    *parts: bytes,
    tensors: int = 0,
    fields: int = 0,
    version: int = 3,
    magic: bytes = b"GGUF",
    data: int = 0,
) -> bytes:
    """A file with any counts, padded to 32 bytes, with *data* zeros behind."""
    head = magic + struct.pack("<IQQ", version, tensors, fields) + b"".join(parts)
    return head + bytes(-len(head) % 32) + bytes(data)


EVERY_VALUE: Mapping[str, Value] = {
    "a.uint8": Value(ValueType.UINT8, 255),
    "a.int8": Value(ValueType.INT8, -128),
    "a.uint16": Value.uint16(65_535),
    "a.int16": Value(ValueType.INT16, -32_768),
    "a.uint32": Value.uint32(2**32 - 1),
    "a.int32": Value.int32(-(2**31)),
    "a.float32": Value.float32(0.5),
    "a.bool": Value.boolean(True),
    "a.false": Value.boolean(False),
    "a.string": Value.string("zwölf 🙂"),
    "a.empty": Value.string(""),
    "a.uint64": Value.uint64(2**64 - 1),
    "a.int64": Value(ValueType.INT64, -(2**63)),
    "a.float64": Value(ValueType.FLOAT64, 1e300),
    "a.strings": Value.array(ValueType.STRING, ["", "b", "ü"]),
    "a.numbers": Value.array(ValueType.INT32, [1, -2, 3]),
    "a.floats": Value.array(ValueType.FLOAT32, [0.25, -1.0]),
    "a.flags": Value.array(ValueType.BOOL, [True, False]),
    "a.none": Value.array(ValueType.UINT8, []),
}
"""A value of every type, and arrays."""
