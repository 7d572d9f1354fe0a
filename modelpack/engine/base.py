"""What goes into the engine and what comes out of it.

Values, and the small protocols between the decode loop and the library that computes. A loop
works with any `Decoder` and `Detokenizer`; `modelpack.engine.llamacpp` gives those of llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from modelpack.engine.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Reason: TypeAlias = Literal["stop", "length", "cancelled"]
"""Why an answer ended: by itself or a stop string, at a bound, or because someone asked."""

CONTEXT = 4096
"""Tokens of context where nothing is said, if the model was trained for as many."""
BATCH = 2048
"""Tokens that one step may have where nothing is said."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter and how strongly it is applied."""

    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Which files make up the model, and how it is loaded."""

    weights: tuple[Path, ...]
    """One GGUF, or all shards of one in order. Names do not matter; links are not resolved."""
    adapters: tuple[Adapter, ...] = ()
    n_ctx: int = 0
    """Tokens of context of one slot; 0 stands for the training context, at most `CONTEXT`."""
    n_batch: int = BATCH
    n_ubatch: int = 512
    n_threads: int = 0
    """0 stands for one per physical core that this process may use."""
    n_gpu_layers: int = -1
    """Layers on the GPU; -1 stands for all."""
    main_gpu: int = 0
    use_mmap: bool | None = None
    """None leaves it to llama.cpp."""
    slots: int = 1
    """Answers written at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt, already in tokens, and how to answer it."""

    tokens: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What an answer took; times in seconds."""

    prompt_tokens: int = 0
    """All tokens of the prompt, those reused included."""
    cached_tokens: int = 0
    """Tokens of the prompt that were not computed again."""
    prompt_s: float = 0.0
    generated_tokens: int = 0
    generation_s: float = 0.0
    load_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer; exactly one comes, last."""

    reason: Reason
    statistics: Statistics


Event: TypeAlias = Delta | Finished


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of one slot's tokens in one step."""

    slot: int
    start: int
    """Position of the first of them."""
    tokens: Sequence[int]
    output: bool
    """Whether the token after the last one is wanted."""


class Flag(Protocol):
    """Something that may be set from elsewhere, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Tell whether it was set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Borders:
    """How a model's texts begin and end."""

    bos: int = -1
    """The token before every text, or -1 where the model has none or wants none."""
    bos_text: str = ""
    eos_text: str = ""


class Tokenizer(Protocol):
    """Text to tokens."""

    @property
    def borders(self) -> Borders:
        """How texts begin and end."""

    @property
    def specials(self) -> frozenset[str]:
        """The texts of control tokens, which `tokenize` takes for those tokens if told to."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of *text*, nothing added in front or behind."""


class Detokenizer(Protocol):
    """Tokens to text."""

    def piece(self, token: int) -> bytes:
        """Return the bytes that *token* stands for; none for a control token."""

    def ends(self, token: int) -> bool:
        """Tell whether *token* ends an answer."""


class Sampler(Protocol):
    """Chooses tokens for one answer."""

    def sample(self, row: int) -> int:
        """Choose the token after *row* of the step just computed, and take note of it."""

    def close(self) -> None:
        """Free what it holds."""


class Decoder(Protocol):
    """A model's context: memory for every slot, and the computation of one step."""

    def decode(self, chunks: Sequence[Chunk]) -> None:
        """Compute one step.

        Raises:
            EngineError: there is no room left, or the computation failed.
        """

    def keep(self, slot: int, count: int) -> int:
        """Forget *slot* from position *count* on; return how much of it stays: *count* or 0."""

    def sampler(self, sampling: Sampling, prompt: Sequence[int]) -> Sampler:
        """Return a sampler for an answer to *prompt*."""
