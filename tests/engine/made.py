"""Tiny models of several kinds with random weights: they talk nonsense, and the same each time.

One says what it is told to.

They have the tiny model's vocabulary, or a large one that is made up.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.real import TINY, require

from modelpack.gguf.reader import read_header
from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import write_gguf

_WIDTH = 64
_INNER = 128
_STATE = 16
_BLOCKS = 2
_F32 = 0

Shape = tuple[int, ...]
Data = Callable[[Any, str, Shape], bytes]


def write_llama(
    path: Path,
    *,
    words: int = 0,
    controls: tuple[str, ...] = (),
    more: dict[str, Value] | None = None,
) -> Path:
    """Write a model with ordinary attention, of *words* made-up tokens if that is not 0.

    Its last tokens are *controls*, and *more* is in its metadata.
    """
    numbers = {"feed_forward_length": _INNER, "attention.head_count": 4}
    numbers |= {"attention.head_count_kv": 4, "rope.dimension_count": _WIDTH // 4}
    tensors = list(_attention())
    return _write(path, "llama", numbers, tensors, words=words, controls=controls, more=more)


def write_chain(
    path: Path, *chain: str, loops: bool = False, controls: tuple[str, ...] = ()
) -> Path:
    """Write a model that says, after a token of *chain*, the next one.

    It looks at the last token only, and ends after the chain, or *loops* for ever. *controls* are
    as for `write_llama`.
    """
    numpy = importlib.import_module("numpy")
    header = read_header(require(TINY))
    names = list(header.value("tokenizer.ggml.tokens").value)
    names[len(names) - len(controls) :] = controls
    steps = [names.index(token) for token in chain]
    steps.append(steps[0] if loops else header.integer("tokenizer.ggml.eos_token_id"))

    def data(_draw: Any, name: str, shape: Shape) -> bytes:
        rows = numpy.full(shape[::-1], 1.0 if "norm" in name else 0.0, "<f4")
        for at, (token, following) in enumerate(itertools.pairwise(steps)):
            if name == "token_embd.weight":
                rows[token, at] = 1.0
            elif name == "output.weight":
                rows[following, at] = 10.0
        return bytes(rows.tobytes())

    numbers = {"feed_forward_length": _INNER, "attention.head_count": 4}
    tensors = [("output.weight", (_WIDTH, len(names))), *_attention()]
    return _write(path, "llama", numbers, tensors, controls=controls, data=data)


def write_qwen2vl(path: Path) -> Path:
    """Write a model that counts the positions of pictures in two dimensions."""
    numbers = {"feed_forward_length": _INNER, "attention.head_count": 4}
    numbers |= {"attention.head_count_kv": 4}
    sections = Value.array(ValueType.INT32, (2, 3, 3, 0))
    more = {"qwen2vl.rope.dimension_sections": sections}
    return _write(path, "qwen2vl", numbers, list(_attention()), more=more)


def write_pieces(path: Path) -> Path:
    """Write a model with SentencePiece's vocabulary, some of whose names overlap."""
    special = {"<unk>": 2, "<s>": 3, "</s>": 3, "<user>": 3, "<tool>": 4, "\n\n": 4, "\n\n\n": 4}
    data = {f"<0x{number:02X}>": 6 for number in range(256)}
    pieces = ["\u2581", *"abcdehnoprstu", "on", "ce"]
    pieces += [f"\u2581{word}" for word in ("on", "up", "once", "a")]
    types = {**special, **data, **dict.fromkeys(pieces, 1)}
    name = "tokenizer.ggml."
    more = {
        f"{name}model": Value.string("llama"),
        f"{name}tokens": Value.array(ValueType.STRING, tuple(types)),
        f"{name}token_type": Value.array(ValueType.INT32, tuple(types.values())),
        f"{name}scores": Value.array(
            ValueType.FLOAT32, tuple(-float(n) for n in range(len(types)))
        ),
        f"{name}bos_token_id": Value.uint32(1),
        f"{name}eos_token_id": Value.uint32(2),
        f"{name}unknown_token_id": Value.uint32(0),
        f"{name}add_bos_token": Value.boolean(True),
    }
    return write_llama(path, more=more)


def write_mamba(path: Path) -> Path:
    """Write a model whose memory is one state for each slot, which cannot be cut."""
    inner, rank = 2 * _WIDTH, 4
    numbers = {"ssm.conv_kernel": 4, "ssm.inner_size": inner, "ssm.state_size": _STATE}
    numbers |= {"ssm.time_step_rank": rank, "feed_forward_length": 0, "attention.head_count": 0}
    tensors: list[tuple[str, Shape]] = []
    for block in range(_BLOCKS):
        shapes: dict[str, Shape] = {
            "attn_norm.weight": (_WIDTH,),
            "ssm_in.weight": (_WIDTH, 2 * inner),
            "ssm_conv1d.weight": (4, inner),
            "ssm_conv1d.bias": (inner,),
            "ssm_x.weight": (inner, rank + 2 * _STATE),
            "ssm_dt.weight": (rank, inner),
            "ssm_dt.bias": (inner,),
            "ssm_a": (_STATE, inner),
            "ssm_d": (inner,),
            "ssm_out.weight": (inner, _WIDTH),
        }
        tensors += [(f"blk.{block}.{name}", shape) for name, shape in shapes.items()]
    return _write(path, "mamba", numbers, tensors)


def write_gemma(path: Path, *, window: int) -> Path:
    """Write a model of which every other block looks back over *window* tokens only."""
    numbers = {"feed_forward_length": _INNER, "attention.head_count": 4}
    numbers |= {"attention.head_count_kv": 4, "attention.key_length": _WIDTH // 4}
    numbers |= {"attention.value_length": _WIDTH // 4, "attention.sliding_window": window}
    tensors = list(_attention())
    for block in range(_BLOCKS):
        tensors += [(f"blk.{block}.post_attention_norm.weight", (_WIDTH,))]
        tensors += [(f"blk.{block}.post_ffw_norm.weight", (_WIDTH,))]
    return _write(path, "gemma2", numbers, tensors)


def _attention() -> Iterator[tuple[str, Shape]]:
    for block in range(_BLOCKS):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{block}.{name}.weight", (_WIDTH,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{block}.{name}.weight", (_WIDTH, _WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{block}.{name}.weight", (_WIDTH, _INNER)
        yield f"blk.{block}.ffn_down.weight", (_INNER, _WIDTH)


def _write(
    path: Path,
    kind: str,
    numbers: dict[str, int],
    tensors: list[tuple[str, Shape]],
    *,
    words: int = 0,
    controls: tuple[str, ...] = (),
    more: dict[str, Value] | None = None,
    data: Data | None = None,
) -> Path:
    header = read_header(require(TINY))
    metadata = {
        name: value
        for name in header.fields
        if name.startswith("tokenizer.") and (value := header.value(name)) is not None
    }
    metadata |= more or {}
    if words:
        _make_up(metadata, words)
    if controls:
        _name(metadata, controls)
    size = len(metadata["tokenizer.ggml.tokens"].value)
    metadata["general.architecture"] = Value.string(kind)
    numbers = {**numbers, "context_length": 1024, "embedding_length": _WIDTH}
    numbers |= {"block_count": _BLOCKS, "vocab_size": size}
    metadata |= {f"{kind}.{key}": Value.uint32(number) for key, number in numbers.items()}
    metadata[f"{kind}.attention.layer_norm_rms_epsilon"] = Value.float32(1e-5)
    shapes = [("token_embd.weight", (_WIDTH, size)), ("output_norm.weight", (_WIDTH,)), *tensors]
    draw = importlib.import_module("numpy").random.default_rng(1)
    with path.open("wb") as file:
        write_gguf(
            file,
            metadata,
            [(name, shape, _F32, (data or _data)(draw, name, shape)) for name, shape in shapes],
        )
    return path


def _make_up(metadata: dict[str, Value], words: int) -> None:
    """Put made-up words behind the tokens there are, as unlike as numbers are."""
    known, types = (metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type"))
    letters = "etaoinsrhldcumfpgwybvkxjqz"
    made: list[str] = []
    for number in range(words - len(known.value)):
        word, rest = "", number + 26
        while rest:
            word, rest = letters[rest % 26] + word, rest // 26
        made.append(f"~{word}" if number % 2 else f"\u0120~{word}")  # U+0120 stands for a space
    metadata["tokenizer.ggml.tokens"] = Value.array(ValueType.STRING, (*known.value, *made))
    metadata["tokenizer.ggml.token_type"] = Value.array(
        ValueType.INT32, (*types.value, *[1] * len(made))
    )


def _name(metadata: dict[str, Value], controls: tuple[str, ...]) -> None:
    """Let the last tokens be *controls*."""
    known, types = (metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type"))
    kept = len(known.value) - len(controls)
    metadata["tokenizer.ggml.tokens"] = Value.array(
        ValueType.STRING, (*known.value[:kept], *controls)
    )
    metadata["tokenizer.ggml.token_type"] = Value.array(
        ValueType.INT32, (*types.value[:kept], *[3] * len(controls))
    )


def _data(draw: Any, name: str, shape: Shape) -> bytes:
    norm = "norm" in name
    spread = 0.02 if norm else 1.2 / shape[0] ** 0.5
    data = draw.normal(1.0 if norm else 0.0, spread, shape[::-1])
    if name.endswith("ssm_a"):
        data = -abs(data) - 0.1
    return bytes(data.astype("<f4").tobytes())
