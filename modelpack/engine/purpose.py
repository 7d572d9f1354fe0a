"""What a model is for, as its GGUF says: known before it is loaded. Pure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from modelpack.errors import GgufError, NotFoundError
from modelpack.gguf.reader import Header, read_header

Purpose: TypeAlias = Literal["text", "vectors", "ranks"]
"""It writes (and makes vectors too), makes vectors only, or tells how texts fit together."""

MEAN, LAST, RANK = 1, 3, 4
"""`pooling_type`, of which 2 stands for the first token; 0 and others for nothing."""
ENCODERS: Final = frozenset(
    (
        "bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llama-embed",
        "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "t5encoder",
    )
)  # fmt: skip
"""Architectures whose tokens see what comes after them, and that cannot write."""
LAST_RANKS: Final = frozenset(("qwen3",))
"""Architectures that write, and of which those made to compare texts look at the last token."""
_DIFFUSION: Final = frozenset(("dream", "llada", "llada-moe", "rnd1"))
"""Architectures that see what comes after a token and are still for writing."""


def purpose_of(header: Header) -> Purpose:
    """Return what the model that begins with *header* is for."""
    kind = header.text("general.architecture") or ""
    pooling = header.integer(f"{kind}.pooling_type") or 0
    causal = header.value(f"{kind}.attention.causal")
    if pooling == RANK:
        return "ranks"
    if MEAN <= pooling < RANK or kind in ENCODERS:
        return "vectors"
    sees_all = causal is not None and causal.value is False and kind not in _DIFFUSION
    return "vectors" if sees_all else "text"


def purpose_of_file(weights: Path) -> Purpose:
    """Return the purpose of the model in *weights*, the first of its files.

    One that cannot be read counts as for text, so that loading it says what is wrong with it.
    """
    try:
        return purpose_of(read_header(weights))
    except (GgufError, NotFoundError):
        return "text"


def pooling_of(metadata: Callable[[str], str]) -> tuple[int, bool]:
    """Return a model's `pooling_type`, and whether its tokens see only what is before them.

    *metadata* gives the text of a key, or nothing. Models that say nothing of pooling have the
    vector of the last token if they write, else the mean of all.
    """
    kind = metadata("general.architecture")
    causal = kind not in ENCODERS and metadata(f"{kind}.attention.causal") != "false"
    said = metadata(f"{kind}.pooling_type")
    known = said.isdigit() and MEAN <= int(said) <= RANK
    return int(said) if known else LAST if causal else MEAN, causal
