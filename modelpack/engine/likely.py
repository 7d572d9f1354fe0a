"""How likely a model found the tokens of an answer, and others in their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload


class Likely(NamedTuple):
    """How likely the model itself found a token that was chosen."""

    logprob: float
    """The natural logarithm of its probability."""
    top: Sequence[int] = ()
    """The likeliest tokens in its place, the best one first."""
    top_logprobs: Sequence[float] = ()
    """The logarithms of their probabilities."""


class TokenLogprob(NamedTuple):
    """A token and how likely the model itself found it, before any option changed that."""

    token: int
    data: bytes
    """What it stands for, perhaps only part of a character; a control token's name."""
    logprob: float
    """The natural logarithm of its probability."""
    top: Sequence[TokenLogprob] = ()
    """The likeliest tokens in its place, the best one first."""
    start: int = 0
    """The character of the answer at which it begins, before the reply is taken apart."""

    @property
    def text(self) -> str:
        """Its bytes as text; what is not a whole character is replaced."""
        return self.data.decode("utf-8", "replace")


class Top(Sequence[TokenLogprob]):
    """The likeliest tokens in the place of one; each is made when it is looked at.

    Args:
        tokens: which they are, the best one first.
        data: what each stands for.
        logprobs: how likely the model found each.
    """

    __slots__ = ("data", "logprobs", "tokens")

    def __init__(
        self, tokens: Sequence[int], data: Sequence[bytes], logprobs: Sequence[float]
    ) -> None:
        self.tokens = tokens
        self.data = data
        self.logprobs = logprobs

    @classmethod
    def of(cls, entries: Sequence[TokenLogprob]) -> Top:
        """Return *entries* as such."""
        if isinstance(entries, cls):
            return entries
        tokens, data = [one.token for one in entries], [one.data for one in entries]
        return cls(tokens, data, [one.logprob for one in entries])

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[TokenLogprob]:
        return map(TokenLogprob, self.tokens, self.data, self.logprobs)

    @overload
    def __getitem__(self, index: int) -> TokenLogprob: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TokenLogprob]: ...
    def __getitem__(self, index: int | slice) -> TokenLogprob | Sequence[TokenLogprob]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))
