"""The dimensions of a model that memory depends on, out of the metadata of its GGUF.

Keys and defaults are those that llama.cpp reads.

See: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-hparams.cpp
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelpack.gguf.reader import Header

_F32 = 4
_MOST_LAYERS = 1024
"""Blocks that we look at; llama.cpp refuses more than 512."""
_PERIODS = {
    "gemma2": 2, "gemma3": 6, "gemma3n": 5, "gemma4": 6, "cohere2": 4, "gpt-oss": 2, "exaone4": 4,
    "exaone-moe": 4, "olmo2": 4, "afmoe": 4, "plamo3": 8,
}  # fmt: skip
"""Architectures whose layers look back over a window only, except every so manieth."""
_DENSE_FIRST = {"smallthinker": 4}
"""The same, where the first of each group is the one that looks back over everything."""
_CHUNKED = {"llama4": 4}
"""The same, with `attention.chunk_size` for the window; llama.cpp's own value where it is unset."""
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Layer:
    """One block's part of the context: numbers of elements, or bytes where it says so."""

    heads: int
    keys: int
    """Elements of one token's keys, of all heads; 0 where the block has no cache of its own."""
    values: int
    window: int
    """Tokens it looks back over at most; 0 stands for all."""
    state: int
    """Bytes of recurrent state of one slot, whatever the length of the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model's dimensions, in elements."""

    layers: tuple[Layer, ...]
    """All blocks, those for guessing ahead (`unused`) included."""
    unused: int
    """Blocks at the end that are not loaded: they would guess several tokens ahead."""
    context: int
    """Tokens that the model was trained for; 0 where unknown."""
    width: int
    vocabulary: int
    feed_forward: int
    """Elements of the hidden layer; those of all experts in use, where there are experts."""
    experts: int
    """Experts in use for one token; 0 where there are none."""
    inner: int
    """Elements of a recurrent block's inner layer; 0 where there is none."""
    query: int
    """Elements of one token's queries, of all heads, in the widest block."""


def read_shape(headers: Sequence[Header]) -> Shape:
    """Return the dimensions of the model in *headers*: one file, or its shards in order."""
    reader = _Reader(headers)
    count = reader.count
    layers = tuple(reader.layer(index) for index in range(count))
    return Shape(
        layers=layers,
        unused=min(reader.integer("nextn_predict_layers"), count),
        context=reader.integer("context_length"),
        width=reader.integer("embedding_length"),
        vocabulary=reader.vocabulary,
        feed_forward=reader.feed_forward(),
        experts=reader.integer("expert_used_count"),
        inner=reader.integer("ssm.inner_size"),
        query=max((layer.heads * reader.head(index, "key") for index, layer in enumerate(layers)),
                  default=0),
    )  # fmt: skip


class _Reader:
    def __init__(self, headers: Sequence[Header]) -> None:
        self._header = headers[0]
        self._kind = self._header.text("general.architecture") or ""
        self._lists: dict[str, tuple[int, ...]] = {}
        self.count = min(self.integer("block_count"), _MOST_LAYERS)
        self._parts: dict[int, set[str]] = {}
        self.vocabulary = self.integer("vocab_size")
        for header in headers:
            for tensor in header.tensors:
                pieces = tensor.name.split(".")
                if pieces[0] == "blk" and len(pieces) > 2 and pieces[1].isdecimal():
                    self._parts.setdefault(int(pieces[1]), set()).add(pieces[2])
                elif tensor.name in ("token_embd.weight", "output.weight"):
                    self.vocabulary = max((self.vocabulary, *tensor.shape[1:2]))
        self._windows = self._read_windows()

    def integer(self, key: str, default: int = 0) -> int:
        """Return a number of this architecture, never less than 0."""
        number = self._header.integer(f"{self._kind}.{key}")
        return default if number is None else max(0, number)

    def numbers(self, key: str) -> tuple[int, ...]:
        """Return an array of this architecture, one number a block; a single number is repeated."""
        if key not in self._lists:
            value = self._header.value(f"{self._kind}.{key}")
            found = value.value if value is not None else ()
            items = found if isinstance(found, tuple) else (found,) * self.count
            self._lists[key] = tuple(
                max(0, int(item)) if isfinite(item) else 0
                for item in items
                if isinstance(item, int | float)
            )
        return self._lists[key]

    def layer(self, index: int) -> Layer:
        parts = self._parts.get(index, set())
        heads = self._at("attention.head_count", index, 0)
        pairs = self._at("attention.head_count_kv", index, heads)
        shared = self.count - self.integer("attention.shared_kv_layers")
        attends = "attn_output" in parts or bool(parts & {"attn_k", "attn_kv_a_mqa"})
        cached = pairs if attends and index < shared else 0
        latent = self.integer("attention.key_length_mla") > 0  # keys and values are one
        return Layer(
            heads=heads,
            keys=cached * self.head(index, "key"),
            values=0 if latent else cached * self.head(index, "value"),
            window=self._windows[index],
            state=self._state() if self._is_recurrent(parts, pairs) else 0,
        )

    def head(self, index: int, what: str) -> int:
        """Return the elements of one head's *what*: `key` or `value`."""
        if self._windows[index]:
            size = self.integer(f"attention.{what}_length_swa")
            if size:
                return size
        heads = self._at("attention.head_count", index, 0) or max(
            self.numbers("attention.head_count"), default=0
        )
        usual = self.integer("embedding_length") // heads if heads else 0
        return self.integer(f"attention.{what}_length", usual)

    def feed_forward(self) -> int:
        used = self.integer("expert_used_count")
        dense = max(self.numbers("feed_forward_length"), default=0)
        expert = self.integer("expert_feed_forward_length", dense)
        shared = self.integer("expert_shared_feed_forward_length")
        return max(dense, used * expert + shared)

    def _at(self, key: str, index: int, default: int) -> int:
        items = self.numbers(key)
        return items[index] if index < len(items) else default

    def _is_recurrent(self, parts: set[str], pairs: int) -> bool:
        marked = any(part.startswith(("ssm_", "shortconv", "time_mix_")) for part in parts)
        return marked or (pairs == 0 and "attn_k" in parts)

    def _state(self) -> int:
        width, heads = self.integer("embedding_length"), max(
            self.numbers("attention.head_count"), default=0
        )  # fmt: skip
        conv = max(0, self.integer("ssm.conv_kernel") - 1)
        if head := self.integer("wkv.head_size"):
            numbers = width * (self.integer("token_shift_count", 2) + head)
        elif cache := self.integer("shortconv.l_cache"):
            numbers = width * (cache - 1)
        elif head := self.integer("kda.head_dim"):
            numbers = heads * head * (3 * conv + head)
        else:
            inner, state = self.integer("ssm.inner_size"), self.integer("ssm.state_size")
            groups = self.integer("ssm.group_count")
            numbers = conv * (inner + 2 * groups * state) + inner * state
        return numbers * _F32

    def _read_windows(self) -> tuple[int, ...]:
        window = self.integer("attention.sliding_window")
        pattern = self.numbers("attention.sliding_window_pattern")
        stored = self._header.fields.get(f"{self._kind}.attention.sliding_window_pattern")
        blocks = range(self.count)
        if self._kind in _CHUNKED:
            window = self.integer("attention.chunk_size", _CHUNK)
        if not window:
            return (0,) * self.count
        if stored is not None and stored.element is not None:
            return tuple(window if i < len(pattern) and pattern[i] else 0 for i in blocks)
        if self._kind in _DENSE_FIRST:
            period = pattern[0] if pattern else _DENSE_FIRST[self._kind]
            return tuple(window if i % max(1, period) else 0 for i in blocks)
        usual = _PERIODS.get(self._kind, _CHUNKED.get(self._kind, 1))
        period = pattern[0] if pattern else usual
        if not period:
            return (window,) * self.count
        return tuple(window if i % period < period - 1 else 0 for i in blocks)
