"""Decide which tensors travel together, so that related models share layers.

Pure: names and sizes in, groups of tensor numbers out. Block order is llama.cpp's `blk.N.`; what
belongs to no block stands before the blocks if it is an embedding, behind them otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Literal, TypeAlias

from modelpack.gguf.values import TensorInfo

Layering: TypeAlias = Literal["block", "tensor"]
Group: TypeAlias = tuple[int, ...]
"""Positions in the tensor table of the source."""

_BLOCK = re.compile(r"(?:^|\.)blk\.(\d+)\.(.+)$")


def plan_groups(
    tensors: Sequence[TensorInfo], *, max_size: int, layering: Layering, max_groups: int
) -> tuple[Group, ...]:
    """Cut *tensors* into groups of at most *max_size* bytes, and at most *max_groups* of them.

    A tensor is never cut, so one larger than *max_size* makes a group of its own. Where there
    would be too many groups, they grow; where roles alone are too many, blocks are cut.
    """
    if layering == "tensor":
        ranks = _block_ranks(tensors)
        size = max_size
        for run in range(1, len(ranks) + 2):
            units = _units(tensors, partial(_role_key, ranks=ranks, run=run))
            groups = [part for unit in units for part in _pack(tensors, _singles(unit), size)]
            if len(groups) <= max_groups:
                return tuple(groups)
            size = _grown(size)
    size = max_size
    while len(groups := _pack(tensors, _units(tensors, _block_key), size)) > max_groups:
        size = _grown(size)
    return tuple(groups)


def _grown(size: int) -> int:
    return size * 5 // 4 + 1


def _block_ranks(tensors: Sequence[TensorInfo]) -> dict[int, int]:
    found = (_BLOCK.search(tensor.name) for tensor in tensors)
    numbers = sorted({int(match[1]) for match in found if match})
    return {number: rank for rank, number in enumerate(numbers)}


def _units(tensors: Sequence[TensorInfo], key: Callable[[str], tuple[object, ...]]) -> list[Group]:
    keyed = sorted((key(tensor.name), index) for index, tensor in enumerate(tensors))
    return [tuple(i for _, i in rows) for _, rows in groupby(keyed, key=lambda row: row[0])]


def _singles(unit: Group) -> list[Group]:
    return [(index,) for index in unit]


def _pack(tensors: Sequence[TensorInfo], units: Iterable[Group], size: int) -> list[Group]:
    groups: list[Group] = []
    held: list[int] = []
    total = 0
    for unit in units:
        weight = sum(tensors[i].size for i in unit)
        if held and total + weight > size:
            groups.append(tuple(held))
            held, total = [], 0
        if weight > size and len(unit) > 1:
            groups += _pack(tensors, _singles(unit), size)
            continue
        held += unit
        total += weight
    if held:
        groups.append(tuple(held))
    return groups


def _block_key(name: str) -> tuple[object, ...]:
    match = _BLOCK.search(name)
    if match:
        return (1, int(match[1]))
    return (0, 0) if "embd" in name else (2, 0)


def _role_key(name: str, *, ranks: Mapping[int, int], run: int) -> tuple[object, ...]:
    match = _BLOCK.search(name)
    if match is None:
        kind = 0 if "embd" in name else 2
        return (kind, 0, 0, name if name.endswith("embd.weight") or name == "output.weight" else "")
    return (1, ranks[int(match[1])] // run, _role(match[2]), "")


def _role(name: str) -> int:
    """Attention q/k/output with the norms, attention v, feed-forward gate/up, feed-forward down."""
    if "norm" in name:
        return 0
    if name.startswith("attn_v"):
        return 1
    if name.startswith(("ffn_gate", "ffn_up")):
        return 2
    return 3 if name.startswith("ffn_down") else 0
