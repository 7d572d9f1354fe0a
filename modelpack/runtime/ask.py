"""What a model can be asked for: answers, vectors, scores, and how a prompt looks to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from modelpack.engine.base import Grammar
from modelpack.modelfile.parameters import ParameterValue
from modelpack.runtime.reply import Format
from modelpack.template.chat import ChatMessage, Think


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: a conversation, or with *raw* a text to go on with as it is."""

    number: int = 0
    """What the worker calls it."""
    messages: tuple[ChatMessage, ...] = ()
    raw: str | None = None
    suffix: str | None = None
    """What comes after the answer: it fills the gap between the last message and this."""
    context: tuple[int, ...] = ()
    """Tokens that come before everything else, as the end of an earlier answer told them."""
    system: str | None = None
    """Instead of the model's own system prompt."""
    template: str | None = None
    """A Go template instead of the model's own."""
    tools: tuple[Mapping[str, object], ...] = ()
    tool_choice: str = ""
    """`none` hides the tools, `required` or the name of one has the answer be a call."""
    think: Think = None
    format: Format = None
    grammar: Grammar | None = None
    """What the answer must look like, where *format* cannot say it."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Tokens and what is added to their logits."""
    logprobs: bool = False
    """Whether the answer says how likely its tokens were."""
    top_logprobs: int = 0
    """How many of the likeliest tokens are told with each."""
    truncate: bool = True
    """Whether what does not fit the context is left out of the prompt, and not an error."""
    shift: bool = True
    """Whether old tokens make room where an answer fills the context, or it ends there."""
    wants_tokens: bool = False
    """Whether the end tells the tokens of prompt and answer."""
    repeats: int = 0
    """How often a token may come again at once before the answer ends; 0 stands for no bound."""
    options: Mapping[str, ParameterValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTokens:
    """A request for the tokens of a prompt, which `Finished` tells; nothing is computed."""

    number: int = 0
    messages: tuple[ChatMessage, ...] = ()
    raw: str | None = None
    """A text instead of a conversation."""
    special: bool = True
    """Whether the names of control tokens in *raw* are those tokens, and a text begins there."""
    system: str | None = None
    template: str | None = None
    tools: tuple[Mapping[str, object], ...] = ()
    think: Think = None
    wants_tokens: bool = False
    """Whether the tokens themselves are wanted, and not only how many they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskText:
    """A request for the text of *tokens*, names of control tokens included."""

    number: int = 0
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskVectors:
    """A request for the vectors of texts; what it says is what `VectorModel.embed` takes."""

    number: int = 0
    texts: tuple[str, ...]
    truncate: bool = True
    dimensions: int | None = None
    normalize: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AskScores:
    """A request for how well documents fit a query."""

    number: int = 0
    query: str
    documents: tuple[str, ...]


Wish: TypeAlias = Ask | AskTokens | AskText | AskVectors | AskScores
