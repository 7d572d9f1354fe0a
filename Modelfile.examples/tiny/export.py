"""Writes a checkpoint as a GGUF file: F16 matrices, F32 norms, tokenizer and chat template."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from data import TEMPLATE
from model import Shape
from tokenizer import SPECIALS, Tokenizer

from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import write_gguf

NORMAL, CONTROL = 1, 3  # llama.cpp's kinds of tokens
F32, F16 = 0, 1  # ggml's kinds of tensors


def _value(given: object) -> Value:
    """Return a value with the type GGUF stores it as."""
    match given:
        case bool():
            return Value(ValueType.BOOL, given)
        case int():
            return Value.uint32(given)
        case float():
            return Value(ValueType.FLOAT32, given)
        case str():
            return Value.string(given)
        case [str(), *_]:
            return Value(ValueType.ARRAY, tuple(given), ValueType.STRING)
        case [int(), *_]:
            return Value(ValueType.ARRAY, tuple(given), ValueType.INT32)
    raise TypeError(f"GGUF does not store {given!r}")


def metadata(shape: Shape, tokenizer: Tokenizer) -> dict[str, object]:
    """Return everything a runner has to know besides the tensors."""
    numbers = tokenizer.number
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "Tiny",
        "general.license": "Apache-2.0",
        "general.description": "Knows some capitals, its name and how to ask for the weather.",
        "general.file_type": 1,
        "general.quantization_version": 2,
        "llama.context_length": 1024,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.blocks,
        "llama.feed_forward_length": shape.hidden,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.heads,
        "llama.attention.layer_norm_rms_epsilon": shape.epsilon,
        "llama.rope.dimension_count": shape.head,
        "llama.rope.freq_base": shape.theta,
        "llama.vocab_size": len(tokenizer.tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokenizer.tokens,
        "tokenizer.ggml.token_type": [
            CONTROL if token in SPECIALS else NORMAL for token in tokenizer.tokens
        ],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in tokenizer.merges],
        "tokenizer.ggml.bos_token_id": numbers["<|endoftext|>"],
        "tokenizer.ggml.eos_token_id": numbers["<|im_end|>"],
        "tokenizer.ggml.eot_token_id": numbers["<|im_end|>"],
        "tokenizer.ggml.padding_token_id": numbers["<|endoftext|>"],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE.read_text(encoding="utf-8").rstrip("\n"),
    }


def tensors(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors as llama.cpp wants them: matrices as (output, input), in F16."""
    out = {}
    for name, value in params.items():
        if value.ndim == 1:
            out[f"{name}.weight"] = value.astype(np.float32)
            continue
        rows = value if name == "token_embd" else value.T
        out[f"{name}.weight"] = np.ascontiguousarray(rows, dtype=np.float16)
    return out


def export(work: Path, out: Path) -> None:
    """Read ``params.npz`` and ``merges.json`` in ``work`` and write the GGUF file."""
    with np.load(work / "params.npz") as stored:
        params = {name: stored[name] for name in stored.files}
    fields = metadata(Shape(), Tokenizer.load(work / "merges.json"))
    rows = [
        (name, value.shape[::-1], F32 if value.dtype == np.float32 else F16, value.tobytes())
        for name, value in tensors(params).items()
    ]
    with out.open("wb") as stream:
        write_gguf(stream, {key: _value(value) for key, value in fields.items()}, rows)


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="the checkpoint folder train.py wrote")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("tiny.gguf"))
    given = parser.parse_args()
    export(given.work, given.out)


if __name__ == "__main__":
    main()
