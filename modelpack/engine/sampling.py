"""How tokens are chosen: the options, with Ollama's defaults, and the chain they mean.

The chain is a value, so that the rules (what is left out, and in which order the rest comes) can
be read and tested without a model. `modelpack.engine.decoder` builds it from llama.cpp's parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

StageName: TypeAlias = Literal[
    "logit_bias", "penalties", "top_k", "typical", "top_p", "min_p", "temp", "dist", "greedy"
]

_SEEDS = 2**32
_INT32 = 2**31 - 1
"""What llama.cpp counts candidates with; no vocabulary has as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when an answer ends."""

    seed: int = -1
    """-1 stands for another one each time."""
    num_predict: int = -1
    """Tokens at most; negative stands for as many as the context holds."""
    top_k: int = 40
    """Candidates kept; 0 or less keeps all, which costs time for a large vocabulary."""
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    """Tokens looked back at by the penalties; 0 turns them off, -1 stands for the context."""
    temperature: float = 0.8
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Tokens, each once, and what is added to their logits; minus infinity rules one out."""

    @property
    def penalizes(self) -> bool:
        """Whether repeating anything is discouraged at all."""
        neutral = (self.repeat_penalty, self.frequency_penalty, self.presence_penalty)
        return self.repeat_last_n != 0 and neutral != (1.0, 0.0, 0.0)

    def looks_back(self, n_ctx: int) -> int:
        """Return how many tokens the penalties look back at, in a context of *n_ctx*."""
        if not self.penalizes:
            return 0
        return n_ctx if self.repeat_last_n < 0 else min(self.repeat_last_n, n_ctx)


@dataclass(frozen=True, slots=True)
class Stage:
    """One link of the chain and its arguments."""

    name: StageName
    arguments: tuple[int | float, ...] = ()


def plan_chain(sampling: Sampling, *, n_ctx: int) -> list[Stage]:
    """Return the links to choose tokens with, in order; those that change nothing are left out.

    The cut to `top_k` comes before everything that has to sort, because sorting a large
    vocabulary for `top_p` alone costs 15 ms a token.
    """
    chain: list[Stage] = []
    if sampling.logit_bias:
        pairs = (number for pair in sampling.logit_bias for number in pair)
        chain.append(Stage("logit_bias", tuple(pairs)))
    if sampling.penalizes:
        weights = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        chain.append(Stage("penalties", (sampling.looks_back(n_ctx), *weights)))
    if sampling.temperature <= 0:
        return [*chain, Stage("greedy")]
    if sampling.top_k > 0:
        chain.append(Stage("top_k", (min(sampling.top_k, _INT32),)))
    if sampling.typical_p < 1:
        chain.append(Stage("typical", (sampling.typical_p,)))
    if sampling.top_p < 1:
        chain.append(Stage("top_p", (sampling.top_p,)))
    if sampling.min_p > 0:
        chain.append(Stage("min_p", (sampling.min_p,)))
    chain.append(Stage("temp", (sampling.temperature,)))
    # llama.cpp's word for "another one each time" is the largest seed, which -1 becomes here.
    return [*chain, Stage("dist", (sampling.seed % _SEEDS,))]


def count_candidates(sampling: Sampling, *, n_ctx: int) -> int:
    """Return how many of the likeliest tokens are sure to have the chosen one, or 0 for all.

    Penalties only lower logits, of as many tokens as they look back at; so the best few after
    them are among the best of that many more before. Tokens with a bias are among the candidates
    in any case, and as many more are needed for those of them that fall behind.
    """
    kept = 1 if sampling.temperature <= 0 else sampling.top_k
    if kept <= 0:
        return 0
    kept += len(sampling.logit_bias)
    rewards = sampling.repeat_penalty < 1 or sampling.frequency_penalty < 0
    if sampling.penalizes and (rewards or sampling.presence_penalty < 0):
        return 0
    return kept + sampling.looks_back(n_ctx)
