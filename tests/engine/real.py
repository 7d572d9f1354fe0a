"""Models for tests marked `model`; a test that finds none is skipped and says why."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from modelpack.engine.base import LoadOptions, Request
from modelpack.engine.llamacpp import Engine, load
from modelpack.engine.sampling import Sampling
from modelpack.gguf.reader import read_header
from modelpack.gguf.values import Value
from modelpack.gguf.writer import assemble_header, encode_field, write_gguf

_REPOSITORY = Path(__file__).parents[2]
STORIES = _REPOSITORY.parent / "shared" / "models" / "stories260K.gguf"
TINY = _REPOSITORY / "Modelfile.examples" / "tiny" / "tiny.gguf"
OPENING = (
    ", there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball."
)
"""How the stories model goes on, greedily, after `Once upon a time`."""


def require(path: Path) -> Path:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    if not path.is_file():
        pytest.skip(f"no model at {path}")
    return path


def load_stories(*weights: Path, **options: int) -> Engine:
    files = weights or (require(STORIES),)
    return load(LoadOptions(weights=files, n_threads=1, **options))


def request(engine: Engine, text: str, **sampling: object) -> Request:
    tokens = engine.vocabulary.tokenize(text, special=False)
    bos = engine.vocabulary.borders.bos
    return Request(
        tokens=(bos, *tokens) if bos >= 0 else tuple(tokens),
        sampling=Sampling(**sampling),
    )


def with_metadata(model: Path, copy: Path, **values: Value) -> Path:
    """Write *copy*: *model* with *values* in its metadata, `.` written as two underscores."""
    header = read_header(model)
    added = b"".join(encode_field(key.replace("__", "."), value) for key, value in values.items())
    raw = assemble_header(
        header.raw[24 : header.metadata_end] + added,
        len(header.fields) + len(values),
        header.tensors,
        version=header.version,
        alignment=header.alignment,
    )
    copy.write_bytes(raw + model.read_bytes()[header.data_offset :])
    return copy


def write_adapter(path: Path) -> Path:
    """Write a LoRA adapter for the stories model, of rank 2 and with weights that disturb."""
    draw = random.Random(1)
    rank, width, inner = 2, 64, 172

    def matrix(columns: int, rows: int) -> tuple[tuple[int, int], int, bytes]:
        numbers = (draw.uniform(-1, 1) for _ in range(columns * rows))
        return (columns, rows), 0, struct.pack(f"<{columns * rows}f", *numbers)

    metadata = {
        "general.type": Value.string("adapter"),
        "general.architecture": Value.string("llama"),
        "adapter.type": Value.string("lora"),
        "adapter.lora.alpha": Value.float32(8.0),
    }
    with path.open("wb") as file:
        write_gguf(
            file,
            metadata,
            [
                ("blk.0.ffn_up.weight.lora_a", *matrix(width, rank)),
                ("blk.0.ffn_up.weight.lora_b", *matrix(rank, inner)),
            ],
        )
    return path
