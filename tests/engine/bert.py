"""Tiny encoders with random weights, and what numpy makes of the same weights.

The vocabulary is one of word pieces: `▁` begins a word. GELU is computed by llama.cpp with a table
of half precision, so that its vectors differ from numpy's in the fourth digit.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import write_gguf

WIDTH, INNER, BLOCKS, HEADS, CONTEXT = 32, 64, 2, 4, 64
CLS, SEP, UNKNOWN = 2, 3, 1
MEAN, FIRST, LAST, RANK = 1, 2, 3, 4
WORDS = [
    "the",
    "a",
    "sky",
    "is",
    "blue",
    "red",
    "paris",
    "was",
    "large",
    "old",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "and",
    "ran",
    "to",
    "town",
]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{word}" for word in WORDS)]
TOKENS += [
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"▁{c}" for c in "bcdefghijklmnopqrstuvwxyz"),
    "s",
    "▁.",
]
TOKENS = list(dict.fromkeys(TOKENS))
TEXTS = (
    "the sky is blue",
    "a cat",
    "paris was large and old",
    "the dog ran to town and the cat sat on the mat and the sky was red and blue",
    "is",
    "Dogs and cats",
)

Weights = dict[str, Any]


def write_bert(
    path: Path, *, pooling: int | None = MEAN, context: int = CONTEXT
) -> tuple[Path, Weights]:
    """Write an encoder; return its file and its weights."""
    weights = _weights(context, ranks=pooling == RANK)
    numbers = {"block_count": BLOCKS, "context_length": context, "embedding_length": WIDTH}
    numbers |= {"feed_forward_length": INNER, "attention.head_count": HEADS}
    numbers |= {} if pooling is None else {"pooling_type": pooling}
    types = [3 if token.startswith("[") else 1 for token in TOKENS]
    ids = {"unknown": UNKNOWN, "seperator": SEP, "padding": 0, "cls": CLS, "bos": CLS, "mask": 4}
    metadata = {
        "general.architecture": Value.string("bert"),
        **{f"bert.{key}": Value.uint32(number) for key, number in numbers.items()},
        "bert.attention.layer_norm_epsilon": Value.float32(1e-12),
        "bert.attention.causal": Value.boolean(False),
        "tokenizer.ggml.model": Value.string("bert"),
        "tokenizer.ggml.token_type_count": Value.uint32(2),
        "tokenizer.ggml.tokens": Value.array(ValueType.STRING, TOKENS),
        "tokenizer.ggml.token_type": Value.array(ValueType.INT32, types),
        **{f"tokenizer.ggml.{key}_token_id": Value.uint32(at) for key, at in ids.items()},
    }
    with path.open("wb") as file:
        write_gguf(
            file,
            metadata,
            [
                (name, data.shape[::-1], 0, data.astype("<f4").tobytes())
                for name, data in weights.items()
            ],
        )
    return path, weights


def tokens_of(text: str) -> list[int]:
    """The tokens of *text*, whose words are all known, as the model gets them."""
    return [CLS, *(TOKENS.index(f"▁{word}") for word in text.split()), SEP]


def compute(weights: Weights, tokens: Sequence[int], pooling: int) -> Any:
    """The vector of *tokens*, of length 1, or their score."""
    numpy = importlib.import_module("numpy")
    x = weights["token_embd.weight"][list(tokens)] + weights["token_types.weight"][0]
    x = _norm(x + weights["position_embd.weight"][: len(tokens)], weights, "token_embd_norm")
    for block in range(BLOCKS):
        at = f"blk.{block}"
        q, k, v = (
            _linear(x, weights, f"{at}.attn_{name}").reshape(len(tokens), HEADS, -1)
            for name in "qkv"
        )
        scores = numpy.einsum("ihd,jhd->hij", q, k) / (WIDTH // HEADS) ** 0.5
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = numpy.einsum("hij,jhd->ihd", scores, v).reshape(len(tokens), WIDTH)
        x = _norm(
            x + _linear(mixed, weights, f"{at}.attn_output"), weights, f"{at}.attn_output_norm"
        )
        inner = _linear(x, weights, f"{at}.ffn_up")
        inner *= 0.5 * (1 + numpy.tanh((2 / numpy.pi) ** 0.5 * (inner + 0.044715 * inner**3)))
        x = _norm(x + _linear(inner, weights, f"{at}.ffn_down"), weights, f"{at}.layer_output_norm")
    if pooling == RANK:
        return float(_linear(numpy.tanh(_linear(x[0], weights, "cls")), weights, "cls.output")[0])
    pooled = x.mean(0) if pooling == MEAN else x[0] if pooling == FIRST else x[-1]
    return pooled / numpy.linalg.norm(pooled)


def _weights(context: int, *, ranks: bool) -> Weights:
    draw = importlib.import_module("numpy").random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(TOKENS), WIDTH),
        "token_types.weight": (2, WIDTH),
        "position_embd.weight": (context, WIDTH),
        "token_embd_norm.weight": (WIDTH,),
        "token_embd_norm.bias": (WIDTH,),
    }
    for block in range(BLOCKS):
        rows = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
        rows |= {"ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        rows |= {"attn_output_norm": (WIDTH,), "layer_output_norm": (WIDTH,)}
        for name, shape in rows.items():
            shapes[f"blk.{block}.{name}.weight"] = shape
            shapes[f"blk.{block}.{name}.bias"] = shape[:1]
    if ranks:
        shapes |= {"cls.weight": (WIDTH, WIDTH), "cls.bias": (WIDTH,)}
        shapes |= {"cls.output.weight": (1, WIDTH), "cls.output.bias": (1,)}
    return {name: _draw(draw, name, shape) for name, shape in shapes.items()}


def _draw(draw: Any, name: str, shape: tuple[int, ...]) -> Any:
    if name.endswith("norm.weight"):
        return draw.normal(1, 0.1, shape).astype("f4")
    spread = 0.1 if name.endswith("bias") else 0.5 if "embd" in name else 1.5 / shape[-1] ** 0.5
    return draw.normal(0, spread, shape).astype("f4")


def _linear(x: Any, weights: Weights, name: str) -> Any:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(x: Any, weights: Weights, name: str) -> Any:
    x = x - x.mean(-1, keepdims=True)
    x = x / ((x**2).mean(-1, keepdims=True) + 1e-12) ** 0.5
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]
