"""Put split GGUF files together again.

Shards that `modelpack.gguf.split` made give back the source byte for byte; any other set (of
llama.cpp's `gguf-split`, say) gives the merged file in the order of its shards.

Pure: headers in, a plan of byte ranges out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelpack import limits
from modelpack.errors import GgufError
from modelpack.gguf.reader import Header
from modelpack.gguf.split import (
    SOURCE_ORDER,
    SOURCE_SIZE,
    SPLIT_COUNT,
    SPLIT_KEYS,
    SPLIT_NO,
    SPLIT_TENSORS,
)
from modelpack.gguf.values import TensorInfo, aligned
from modelpack.gguf.writer import assemble_header


@dataclass(frozen=True, slots=True)
class ShardPiece:
    """Bytes of one shard: *length* from *offset* of the shard at position *shard*."""

    shard: int
    offset: int
    length: int
    padding: int


@dataclass(frozen=True, slots=True)
class Joined:
    """The file that comes out: a header, then pieces of the shards."""

    header: bytes
    pieces: tuple[ShardPiece, ...]
    size: int


def order_shards(headers: Sequence[Header], names: Sequence[str]) -> list[int]:
    """Return the positions of *headers* in split order.

    Raises:
        GgufError: a shard is missing, stands there twice, or belongs to another set.
    """
    total = headers[0].integer(SPLIT_COUNT)
    if total is None or not 0 < total <= limits.GGUF_SPLITS:
        raise GgufError(f"not a split GGUF: {names[0]}: it has no usable {SPLIT_COUNT}")
    places: dict[int, int] = {}
    for position, (header, name) in enumerate(zip(headers, names, strict=True)):
        number = header.integer(SPLIT_NO)
        if number is None or header.integer(SPLIT_COUNT) != total or not 0 <= number < total:
            raise GgufError(f"{name} is not a shard of the same model as {names[0]}")
        if number in places:
            raise GgufError(
                f"shard {number + 1} of {total} is given twice: {names[places[number]]} and {name}"
            )
        places[number] = position
    missing = [str(i + 1) for i in range(total) if i not in places]
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise GgufError(
            f"split GGUF is not complete: shard {shown} of {total} is missing",
            hint="name every file of the set, or put them in one folder",
        )
    order = [places[i] for i in range(total)]
    _check_tensors(headers, order, names)
    return order


def plan_join(headers: Sequence[Header]) -> Joined:
    """Return how to write the file that *headers*, in split order, were cut from.

    Raises:
        GgufError: the shards contradict each other.
    """
    first = headers[0]
    rows = [
        (tensor, shard, headers[shard])
        for shard in range(len(headers))
        for tensor in headers[shard].tensors
    ]
    order = _source_order(first, len(rows))
    tensors: list[TensorInfo] = []
    pieces: list[ShardPiece] = []
    offset = 0
    for position in order:
        tensor, shard, header = rows[position]
        room = aligned(tensor.size, first.alignment)
        start = header.data_offset + tensor.offset
        length = min(room, header.file_size - start)
        if aligned(tensor.size, header.alignment) < room:
            length = min(length, tensor.size)
        tensors.append(TensorInfo(tensor.name, tensor.shape, tensor.type, offset, tensor.size))
        pieces.append(ShardPiece(shard, start, length, room - length))
        offset += room
    raw = _rebuild(first, tensors)
    return _trim(raw, pieces, first.integer(SOURCE_SIZE), len(raw) + offset)


def _check_tensors(headers: Sequence[Header], order: Sequence[int], names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for position in order:
        for tensor in headers[position].tensors:
            if tensor.name in seen:
                raise GgufError(
                    f"tensor {tensor.name!r} stands in both {names[seen[tensor.name]]} "
                    f"and {names[position]}"
                )
            seen[tensor.name] = position
    promised = headers[order[0]].integer(SPLIT_TENSORS)
    if promised is not None and promised != len(seen):
        raise GgufError(
            f"split GGUF is not complete: {names[order[0]]} promises {promised:,} tensors, "
            f"the shards have {len(seen):,}"
        )


def _source_order(first: Header, count: int) -> list[int]:
    stored = first.value(SOURCE_ORDER)
    if stored is None:
        return list(range(count))
    targets = stored.value if isinstance(stored.value, tuple) else ()
    order: list[int] = [-1] * count
    for position, target in enumerate(targets):
        if not isinstance(target, int) or not 0 <= target < count or order[target] != -1:
            raise GgufError(f"broken split GGUF: {SOURCE_ORDER} is not a permutation")
        order[target] = position
    if -1 in order:
        raise GgufError(f"broken split GGUF: {SOURCE_ORDER} is not a permutation")
    return order


def _rebuild(first: Header, tensors: Sequence[TensorInfo]) -> bytes:
    kept = bytearray()
    count = 0
    keys = list(first.fields)
    starts = [first.fields[key].start for key in keys]
    for i, key in enumerate(keys):
        if key in SPLIT_KEYS:
            continue
        begin = _field_begin(first, i, keys, starts)
        end = _field_begin(first, i + 1, keys, starts)
        kept += first.raw[begin:end]
        count += 1
    return assemble_header(
        bytes(kept), count, tensors, version=first.version, alignment=first.alignment
    )


def _field_begin(first: Header, index: int, keys: Sequence[str], starts: Sequence[int]) -> int:
    if index == len(keys):
        return first.metadata_end
    head = 8 + len(keys[index].encode()) + 4
    if first.fields[keys[index]].element is not None:
        head += 12
    return starts[index] - head


def _trim(raw: bytes, pieces: list[ShardPiece], wanted: int | None, size: int) -> Joined:
    if wanted is None or not pieces or wanted == size:
        return Joined(raw, tuple(pieces), size)
    last = pieces[-1]
    surplus = size - wanted
    if not 0 <= surplus <= last.length + last.padding:
        raise GgufError(f"broken split GGUF: {SOURCE_SIZE} does not fit the shards")
    padding = max(0, last.padding - surplus)
    length = last.length - max(0, surplus - last.padding)
    pieces[-1] = ShardPiece(last.shard, last.offset, length, padding)
    return Joined(raw, tuple(pieces), wanted)
