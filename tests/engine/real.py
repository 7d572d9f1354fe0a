"""Models for tests marked `model`.

`TINY`, a chat model, is always there. `STORIES` is a model of another kind (SentencePiece words, a
token before every text, no chat template, numbers of 32 bits) that not every machine has; a test
that does not find it is skipped and says why.
"""

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
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
"""What the tiny model says to `QUESTION`, greedily."""
RAMBLE = "Hello"
RAMBLING = "o" * 20
"""How the tiny model goes on, greedily and without end, after `RAMBLE` outside a chat."""
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


def asked(question: str = QUESTION) -> str:
    """The prompt that the tiny model's template makes of one question."""
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def load_weights(*weights: Path, **options: int | str) -> Engine:
    """Load *weights*, which are the tiny model if none are given."""
    files = weights or (require(TINY),)
    return load(LoadOptions(weights=files, n_threads=1, **options))


def request(engine: Engine, text: str, **sampling: object) -> Request:
    tokens = engine.vocabulary.tokenize(text, special=True)
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


def with_context(model: Path, copy: Path, n_ctx: int) -> Path:
    """Write *copy*: *model*, which says of itself that it was trained for *n_ctx* tokens."""
    data = bytearray(model.read_bytes())
    struct.pack_into("<I", data, read_header(model).fields["llama.context_length"].start, n_ctx)
    copy.write_bytes(data)
    return copy


def write_adapter(path: Path) -> Path:
    """Write a LoRA adapter for the tiny model, of rank 2 and with weights that disturb."""
    draw = random.Random(1)
    header = read_header(TINY)
    rank = 2
    width = header.integer("llama.embedding_length")
    inner = header.integer("llama.feed_forward_length")

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
