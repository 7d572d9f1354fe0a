"""GGUFs of random weights: in the shape of Qwen2.5-0.5B with as many tokens, and a narrow one."""

from __future__ import annotations

import itertools
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import encode_header, place_tensors


@dataclass(frozen=True)
class Shape:
    """The dimensions of a model."""

    width: int = 896
    blocks: int = 24
    heads: int = 14
    kv_heads: int = 2
    feed: int = 4864
    tokens: int = 151_936


QWEN = Shape()
NARROW = Shape(width=256, blocks=4, heads=4, kv_heads=1, feed=512, tokens=8192)
"""What it takes besides computing shows best where computing takes little."""
F32, Q4_0 = 0, 2
_Q4_BLOCK = np.dtype([("scale", "<f2"), ("quants", "u1", 16)])
"""32 weights of 4 bits around 8, and what they are multiplied with."""
_END = "<|im_end|>"


def make_random_model(path: Path, shape: Shape = QWEN) -> Path:
    """Write a model of *shape* to *path* unless it is there; some 350 MB for Qwen's."""
    if path.exists():
        return path
    tensors = list(_tensors(shape))
    placed = place_tensors(tensors)
    rng = np.random.default_rng(1)
    unfinished = path.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(encode_header(_metadata(shape), placed))
        start = file.tell()
        for info in placed:
            file.seek(start + info.offset)
            file.write(_values(rng, info.name, info.shape, info.type))
    return unfinished.rename(path)


def _tensors(shape: Shape) -> list[tuple[str, tuple[int, ...], int]]:
    width, feed = shape.width, shape.feed
    kv = width // shape.heads * shape.kv_heads
    shapes = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (width, width), "attn_q.bias": (width,),
        "attn_k.weight": (width, kv), "attn_k.bias": (kv,),
        "attn_v.weight": (width, kv), "attn_v.bias": (kv,),
        "attn_output.weight": (width, width),
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (width, feed), "ffn_up.weight": (width, feed),
        "ffn_down.weight": (feed, width),
    }  # fmt: skip
    named = {"token_embd.weight": (width, shape.tokens), "output_norm.weight": (width,)}
    for block in range(shape.blocks):
        named |= {f"blk.{block}.{name}": size for name, size in shapes.items()}
    return [(name, size, Q4_0 if len(size) == 2 else F32) for name, size in named.items()]


def _values(rng: np.random.Generator, name: str, shape: tuple[int, ...], kind: int) -> bytes:
    count = int(np.prod(shape))
    if kind == F32:
        return np.full(count, 0.0 if name.endswith("bias") else 1.0, "<f4").tobytes()
    blocks = np.empty(count // 32, _Q4_BLOCK)
    blocks["scale"] = 0.2 / np.sqrt(shape[0])
    blocks["quants"] = rng.integers(0, 256, (len(blocks), 16), dtype="u1")
    return blocks.tobytes()


def _metadata(shape: Shape) -> dict[str, Value]:
    def number(value: int) -> Value:
        return Value(ValueType.UINT32, value)

    def text(value: str) -> Value:
        return Value(ValueType.STRING, value)

    def real(value: float) -> Value:
        return Value(ValueType.FLOAT32, value)

    words = _words(shape.tokens)
    kinds = (1,) * (shape.tokens - 1) + (3,)  # the last one is a control token
    return {
        "general.architecture": text("qwen2"),
        "general.name": text("random"),
        "qwen2.block_count": number(shape.blocks),
        "qwen2.context_length": number(32_768),
        "qwen2.embedding_length": number(shape.width),
        "qwen2.feed_forward_length": number(shape.feed),
        "qwen2.attention.head_count": number(shape.heads),
        "qwen2.attention.head_count_kv": number(shape.kv_heads),
        "qwen2.rope.freq_base": real(1_000_000.0),
        "qwen2.attention.layer_norm_rms_epsilon": real(1e-6),
        "tokenizer.ggml.model": text("gpt2"),
        "tokenizer.ggml.pre": text("qwen2"),
        "tokenizer.ggml.tokens": Value(ValueType.ARRAY, words, ValueType.STRING),
        "tokenizer.ggml.token_type": Value(ValueType.ARRAY, kinds, ValueType.INT32),
        "tokenizer.ggml.merges": Value(ValueType.ARRAY, ("a b",), ValueType.STRING),
        "tokenizer.ggml.eos_token_id": number(shape.tokens - 1),
        "tokenizer.ggml.add_bos_token": Value(ValueType.BOOL, False),
    }


def _words(count: int) -> tuple[str, ...]:
    """Return the bytes as byte-level BPE writes them, then all short words, then the end."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = itertools.count(256)
    single = [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
    letters = string.ascii_lowercase
    longer = ("".join(word) for n in (2, 3, 4) for word in itertools.product(letters, repeat=n))
    return (*single, *itertools.islice(longer, count - 257), _END)
