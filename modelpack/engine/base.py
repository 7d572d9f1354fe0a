"""What goes into the engine and what comes out of it.

Values, and the small protocols between the decode loop and the library that computes. A loop
works with any `Decoder` and `Detokenizer`; `modelpack.engine.llamacpp` gives those of llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from modelpack.engine.cores import count_cores
from modelpack.engine.sampling import Sampling
from modelpack.errors import ModelPackError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from modelpack.engine.likely import Likely, TokenLogprob

Reason: TypeAlias = Literal["stop", "length", "cancelled"]
"""Why an answer ended: by itself or a stop string, at a bound, or because someone asked."""

GrammarKind: TypeAlias = Literal["json", "json_schema", "regex", "lark", "gbnf"]
"""What a grammar is written in; `json` is any JSON object and needs no text."""
Overflow: TypeAlias = Literal["length", "shift"]
"""What happens to an answer that fills the context: it ends, or older tokens make room for it."""
Flash: TypeAlias = Literal["auto", "on", "off"]
"""Whether attention is computed without holding all its scores; `auto` takes the faster way."""
KvType: TypeAlias = Literal["f16", "q8_0", "q4_0"]
Outcome: TypeAlias = Literal["done", "full", "aborted"]
"""How a step went: computed, not begun because memory is full, or broken off on request."""

CONTEXT = 4096
"""Tokens of context where nothing is said, if the model was trained for as many."""
_LEAST_CONTEXT = 4
BATCH = 2048
"""Tokens that one step may have where nothing is said."""


def context_size(wanted: int, trained: int) -> int:
    """Return the tokens of context of one slot, with *wanted* 0 where nothing is said.

    *trained* is what the model was trained for, 0 where that is not known.
    """
    if not wanted:
        return min(trained, CONTEXT) or CONTEXT
    wanted = max(wanted, _LEAST_CONTEXT)
    return min(wanted, trained) if trained > 0 else wanted


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
    projectors: tuple[Path, ...] = ()
    """What lets the model see; the first one is used."""
    n_ctx: int = 0
    """Tokens of context of one slot; 0 stands for the training context, at most `CONTEXT`."""
    n_batch: int = BATCH
    n_ubatch: int = 512
    n_threads: int = 0
    """At most; 0 stands for one per physical core that this process may use. See `crew`."""
    n_gpu_layers: int = -1
    """Layers on the GPU; -1 stands for all."""
    main_gpu: int = 0
    tensor_split: tuple[float, ...] = ()
    """How layers are shared among GPUs, in proportion; nothing leaves it to llama.cpp."""
    flash_attention: Flash = "auto"
    kv_cache_type: KvType = "f16"
    """The type of cached keys and values; smaller ones need flash attention."""
    use_mmap: bool | None = None
    """None leaves it to llama.cpp."""
    slots: int = 1
    """Answers written at the same time."""
    pool: int = 0
    """Tokens of memory that all slots share; 0 gives each slot `n_ctx` of its own.

    A pool serves more slots with the same memory. But what is in it moves the last digits of what
    others compute, so that a seed gives the same answer only without one.
    """

    @property
    def threads(self) -> int:
        """How many threads there are: as many as are asked for, or one for each core."""
        return self.n_threads or count_cores()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Free text that an answer may begin with, before its grammar does: what a model thinks."""

    opens: tuple[str, ...]
    closes: tuple[str, ...]
    """What stands around it, in one way or another; names of control tokens are those tokens."""
    begun: bool = False
    """Whether the prompt has opened it, so that it must be closed."""
    then: str = ""
    """What stands between it and the rest; if nothing, some space may."""
    instead: str = ""
    """What the answer begins with if there is none of it."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must look like."""

    kind: GrammarKind
    text: str = ""
    lead: Lead | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt, already in tokens, and how to answer it."""

    tokens: tuple[int, ...]
    """Numbers below zero stand for `media`; see `modelpack.engine.media`."""
    media: tuple[object, ...] = ()
    """What must stay in memory until the answer ends."""
    sampling: Sampling = field(default_factory=Sampling)
    grammar: Grammar | None = None
    compiled: object = field(default=None, compare=False)
    """The grammar as `Constraints.prepare` gave it, so that nobody compiles it again."""
    spoken: frozenset[int] = frozenset()
    """Control tokens whose names are part of the text, because it is read by them."""
    logprobs: bool = False
    """Whether pieces of the answer say how likely their tokens were."""
    top_logprobs: int = 0
    """How many of the likeliest tokens are told with each."""
    overflow: Overflow = "length"
    truncate: bool = False
    """Whether a prompt that does not fit loses what follows its first `num_keep` tokens."""
    num_keep: int = 4
    """First tokens that stay when others make room; negative stands for the whole prompt."""
    wants_tokens: bool = False
    """Whether the end tells the tokens of prompt and answer."""
    repeats: int = 0
    """How often a token may come again at once before the answer ends; 0 stands for no bound."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer; never empty."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """One for each token that begins in this piece, where they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What an answer took; times in seconds."""

    prompt_tokens: int = 0
    """All tokens of the prompt, those reused included, those left out not."""
    cached_tokens: int = 0
    """Tokens of the prompt that were not computed again."""
    prompt_s: float = 0.0
    generated_tokens: int = 0
    generation_s: float = 0.0
    load_s: float = 0.0
    total_s: float = 0.0
    truncated_tokens: int = 0
    """Tokens of the prompt that were left out because it did not fit."""
    shifted_tokens: int = 0
    """Tokens of prompt and answer that were forgotten to make room for the answer."""
    left_out_messages: int = 0
    """Messages of the conversation that were left out because it did not fit."""

    @property
    def forgotten(self) -> dict[str, int]:
        """What the context had no room for, by the names of the fields; empty for most answers."""
        found = {
            "left_out_messages": self.left_out_messages,
            "truncated_tokens": self.truncated_tokens,
            "shifted_tokens": self.shifted_tokens,
        }
        return {name: count for name, count in found.items() if count}


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer; exactly one comes, last."""

    reason: Reason
    statistics: Statistics
    stop: str = ""
    """The stop string that ended the answer, if one did."""
    tokens: tuple[int, ...] = ()
    """Prompt and answer, without the token that ended it, where they were asked for."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Comes instead of `Finished` where one request failed; others go on."""

    error: ModelPackError


Event: TypeAlias = Delta | Finished
"""What an answer is made of."""


class Chunk(NamedTuple):
    """A run of one slot's tokens in one step."""

    slot: int
    start: int
    """Position of the first of them."""
    tokens: Sequence[int]
    output: bool
    """Whether the token after the last one is wanted."""


class Choice(NamedTuple):
    """The next token of an answer."""

    token: int
    complete: bool = False
    """Whether the grammar allows nothing after it, and after what is forced."""
    forced: tuple[int, ...] = ()
    """Tokens that follow it in any case: the grammar allows no others."""


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

    def spelling(self, token: int) -> bytes:
        """Return the bytes that *token* stands for, or the name of a control token."""

    def ends(self, token: int) -> bool:
        """Tell whether *token* ends an answer."""


class Sampler(Protocol):
    """Chooses tokens for one answer."""

    def sample(self, row: int, room: int) -> Choice:
        """Choose the token after *row* of the step just computed, and take note of it.

        Up to *room* tokens may come with it where a grammar leaves no choice.

        Raises:
            EngineError: the grammar allows no token, or became too complex.
        """

    def measured(self) -> list[Likely]:
        """Return how likely the tokens chosen since the last call were, where that is wanted."""

    def close(self) -> None:
        """Free what it holds."""


class Decoder(Protocol):
    """A model's context: memory for every slot, and the computation of one step."""

    def decode(self, chunks: Sequence[Chunk]) -> Outcome:
        """Compute one step.

        Raises:
            EngineError: the computation failed; what the slots in it hold is not known.
        """

    def abort(self) -> None:
        """Break off the step being computed, soon; any thread may ask for it."""

    def keep(self, slot: int, count: int) -> int:
        """Forget *slot* from position *count* on; return how much of it stays: *count* or 0."""

    def shift(self, slot: int, keep: int, drop: int) -> bool:
        """Forget *drop* tokens after the first *keep* and move the rest up, if that is possible."""

    def sampler(self, request: Request, prompt: Sequence[int]) -> Sampler:
        """Return a sampler for an answer to *prompt*, which may be part of what *request* says.

        Raises:
            InputError: the grammar or the options make no sense for this model.
            MissingExtraError: grammars need a library that is not installed.
        """
