"""What comes of texts that become vectors or are compared, and which models do that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from modelpack.engine.purpose import Purpose
from modelpack.errors import EngineError


class Embedded(NamedTuple):
    """Vectors or scores, in the order of the texts."""

    vectors: list[list[float]]
    tokens: list[int]
    """How many tokens each text was, those around it included and those cut off not."""


class Part(NamedTuple):
    """What one step has brought."""

    numbers: list[int]
    """Which of the texts these are, from 0."""
    rows: list[list[float]]
    tokens: list[int]


def collect(parts: Iterable[Part], count: int) -> Embedded:
    """Put together the vectors of *count* texts.

    Raises:
        EngineError: some are missing.
    """
    found = Embedded([[]] * count, [0] * count)
    for part in parts:
        for number, row, tokens in zip(*part, strict=True):
            found.vectors[number] = row
            found.tokens[number] = tokens
    if not all(found.vectors):
        raise EngineError("some of the texts got no answer")
    return found


def require(wish: Purpose, purpose: Purpose, name: str) -> None:
    """Check that the model *name*, made for *purpose*, can be asked for *wish*.

    Raises:
        EngineError: it cannot.
    """
    if wish == purpose or (wish, purpose) == ("vectors", "text"):
        return
    if wish == "ranks":
        raise EngineError(
            f"the model {name!r} does not compare texts",
            hint="reranking needs a model that was made for it",
        )
    if purpose == "ranks":
        lacks = "does not write text" if wish == "text" else "makes no vectors"
        raise EngineError(
            f"the model {name!r} compares texts and {lacks}", hint="it can be asked to rerank"
        )
    raise EngineError(
        f"the model {name!r} makes vectors and does not write text",
        hint="it can be asked for embeddings",
    )
