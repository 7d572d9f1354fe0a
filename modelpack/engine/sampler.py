"""Chooses tokens with llama.cpp's links, in the order of the plan, and within a grammar.

What the chain chooses without the grammar is taken if the grammar allows it, which is quickly told;
otherwise the chain chooses among all that is allowed. llama.cpp and Ollama choose so, too, and with
a chain that leaves nothing out every token is as likely as among those allowed alone.

Takes the library from `modelpack.engine.llamacpp`, which owns it.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from typing import TYPE_CHECKING

from modelpack.engine.base import Choice
from modelpack.engine.likely import Likely
from modelpack.engine.logprobs import Logprobs
from modelpack.engine.sampling import Stage, count_candidates, plan_chain
from modelpack.engine.shortlist import WORTHWHILE, Array, Mask, Shortlist
from modelpack.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from modelpack.engine.base import Request
    from modelpack.engine.constraint import Constraint
    from modelpack.engine.vocabulary import Handle

TOP_LOGPROBS = 1000
"""Likeliest tokens that are told at most; OpenAI and Ollama stop at 20."""
LOGIT_BIASES = 10_000
"""Tokens that may have a bias."""
_VIEWS = 64
"""Rows whose place is remembered."""
_SPARSE = 64
"""A shortlist is worth it in a vocabulary this many times as large."""
_FILTERS = {
    "top_k": "llama_sampler_init_top_k",
    "temp": "llama_sampler_init_temp",
    "dist": "llama_sampler_init_dist",
    "greedy": "llama_sampler_init_greedy",
}
_FILTERS_OF_MASS = {
    "typical": "llama_sampler_init_typical",
    "top_p": "llama_sampler_init_top_p",
    "min_p": "llama_sampler_init_min_p",
}


class Rows:
    """The logits of the step just computed, as they lie in the library's memory."""

    def __init__(self, library: ModuleType, context: Handle, vocabulary_size: int) -> None:
        self._get = library.llama_cpp._lib["llama_get_logits_ith"]
        self._get.argtypes = (ctypes.c_void_p, ctypes.c_int32)
        self._get.restype = ctypes.c_void_p
        self._context = context
        self.vocabulary_size = vocabulary_size
        self._kind = ctypes.c_float * vocabulary_size
        self._numpy = importlib.import_module("numpy")
        self._views: dict[int, Array] = {}
        """Logits by where they lie; they lie where others lay before."""

    def __getitem__(self, row: int) -> Array:
        """Return the logits after *row*; good until the next step."""
        address = self._get(self._context, row)
        view = self._views.get(address)
        if view is None:
            if not address:
                raise EngineError(f"llama.cpp has no logits for row {row} of the step")
            if len(self._views) == _VIEWS:
                self._views.clear()
            view = self._numpy.frombuffer(self._kind.from_address(address), dtype="f4")
            self._views[address] = view
        return view


class LlamaSampler:
    """A `Sampler` over one chain."""

    def __init__(
        self, library: ModuleType, context: Handle, chain: Sequence[Stage], rows: Rows
    ) -> None:
        self._library = library
        self._context = context
        self._sample = library.llama_sampler_sample
        self._rows = rows
        self.shortlist: Shortlist | None = None
        """What narrows the vocabulary down first, where that is faster or a grammar wants it."""
        self.constraint: Constraint | None = None
        self.mask: Mask | None = None
        """How a grammar is minded where there is no shortlist."""
        self.guesses = False
        """Whether a grammar is asked at first for one token, and only then for all it allows."""
        self.logprobs: Logprobs | None = None
        self._forced: list[int] = []
        """What comes next in any case, and is known to the chain and the grammar."""
        self._chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
        for stage in chain:
            link = _link(library, stage, rows.vocabulary_size)
            library.llama_sampler_chain_add(self._chain, link)

    def accept(self, tokens: Sequence[int]) -> None:
        """Take note of *tokens* that were not chosen here, for the penalties."""
        for token in tokens:
            self._library.llama_sampler_accept(self._chain, token)

    def sample(self, row: int, room: int) -> Choice:
        """Choose the token after *row* of the step just computed, and take note of it.

        Up to *room* tokens come with it where the grammar leaves no choice, unless it is wanted how
        likely they are.

        Raises:
            EngineError: the grammar allows no token, or became too complex.
        """
        if self.logprobs is not None:
            self.logprobs.note(self._rows[row])
            token = self._next(row)
            self.logprobs.chose(token)
            return Choice(token, self._is_complete)
        token = self._next(row)
        forced: tuple[int, ...] = ()
        if self._forced:
            forced = tuple(self._forced[:room])
            del self._forced[:room]
        return Choice(token, self._is_complete, forced)

    def measured(self) -> list[Likely]:
        """Return how likely the tokens chosen since the last call were, where that is wanted."""
        return self.logprobs.take() if self.logprobs is not None else []

    def close(self) -> None:
        """Free the chain; a second time does nothing."""
        chain, self._chain = self._chain, None
        if chain is not None:
            self._library.llama_sampler_free(chain)

    @property
    def _is_complete(self) -> bool:
        """Whether nothing may come any more."""
        done = self.constraint is not None and self.constraint.is_complete
        return done and not self._forced

    def _next(self, row: int) -> int:
        """Return the next token; where there is no choice, the chain is not asked."""
        if self._forced:
            return self._forced.pop(0)
        constraint = self.constraint
        if constraint is None:
            return self._choose(row)
        token = self._guess(row) if self.guesses else -1
        if token < 0 or not constraint.take(token):
            token = self._choose_allowed(row, constraint.allowed())
            constraint.accept(token)
        if self.shortlist is not None:
            self.accept((token,))
        forced = () if constraint.is_complete else constraint.forced()
        if forced:
            self.accept(forced)
            constraint.accept(*forced)
            self._forced += forced
        return token

    def _choose(self, row: int) -> int:
        """Return what is next without a grammar, which the chain takes note of."""
        token = self._guess(row) if self.shortlist is not None else -1
        if token < 0:
            return int(self._sample(self._chain, self._context, row))
        self.accept((token,))
        return token

    def _guess(self, row: int) -> int:
        """Return what would be next without a grammar, or -1; only a shortlist leaves no trace."""
        if self.shortlist is not None:
            return self.shortlist.choose(self._chain, self._rows[row])
        return int(self._sample(self._chain, self._context, row))

    def _choose_allowed(self, row: int, allowed: Array) -> int:
        """Return what is next of *allowed*, which only a mask lets the chain take note of."""
        token = -1
        if self.shortlist is not None:
            token = self.shortlist.choose(self._chain, self._rows[row], allowed)
        elif self.mask is not None:
            self.mask.apply(self._rows[row], allowed)
            token = int(self._sample(self._chain, self._context, row))
        if token < 0 or not allowed[token >> 3] >> (token & 7) & 1:
            raise EngineError("the grammar allows no token here")
        return token


def build_sampler(
    library: ModuleType,
    context: Handle,
    request: Request,
    constraint: Constraint | None,
    *,
    n_ctx: int,
    rows: Rows,
) -> LlamaSampler:
    """Return a sampler for *request*.

    Raises:
        InputError: an option is out of its range.
    """
    sampling, vocabulary_size = request.sampling, rows.vocabulary_size
    _check(request, vocabulary_size)
    chain = plan_chain(sampling, n_ctx=n_ctx)
    sampler = LlamaSampler(library, context, chain, rows)
    sampler.constraint = constraint
    count = count_candidates(sampling, n_ctx=n_ctx)
    worthwhile = count > 0 and vocabulary_size >= max(WORTHWHILE, _SPARSE * count)
    # The link for typical tokens would make nonsense of a probability of zero.
    if constraint is not None and vocabulary_size < WORTHWHILE and sampling.typical_p >= 1:
        sampler.mask = Mask(vocabulary_size)
        sampler.guesses = not sampling.penalizes  # the chain takes note of what is refused, too
    elif worthwhile or constraint is not None:
        biased = [token for token, _ in sampling.logit_bias]
        sampler.shortlist = Shortlist(
            library, count, always=biased, constrained=constraint is not None
        )
        sampler.guesses = count > 0
    if request.logprobs:
        sampler.logprobs = Logprobs(min(request.top_logprobs, vocabulary_size), vocabulary_size)
    return sampler


def _check(request: Request, vocabulary_size: int) -> None:
    if not 0 <= request.top_logprobs <= TOP_LOGPROBS:
        raise InputError(f"top_logprobs must be from 0 to {TOP_LOGPROBS:,}")
    biases = request.sampling.logit_bias
    if len(biases) > LOGIT_BIASES:
        raise InputError(f"more than {LOGIT_BIASES:,} tokens have a logit_bias")
    if len({token for token, _ in biases}) < len(biases):
        raise InputError("a token has two values in logit_bias")
    for token, bias in biases:
        if not 0 <= token < vocabulary_size:
            raise InputError(f"logit_bias names token {token}, and there are {vocabulary_size:,}")
        if math.isnan(bias) or bias == math.inf:
            raise InputError(f"logit_bias has {bias} for token {token}, which is no number")


def _link(library: ModuleType, stage: Stage, vocabulary_size: int) -> Handle:
    if stage.name == "penalties":
        made: Handle = library.llama_sampler_init_penalties(vocabulary_size, *stage.arguments)
    elif stage.name == "logit_bias":
        pairs = list(zip(stage.arguments[::2], stage.arguments[1::2], strict=True))
        biases = (library.llama_logit_bias * len(pairs))(*((int(t), b) for t, b in pairs))
        made = library.llama_sampler_init_logit_bias(vocabulary_size, len(pairs), biases)  # copied
    elif stage.name in _FILTERS_OF_MASS:
        made = getattr(library, _FILTERS_OF_MASS[stage.name])(*stage.arguments, 1)
    else:
        made = getattr(library, _FILTERS[stage.name])(*stage.arguments)
    return made
