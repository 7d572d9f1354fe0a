"""What a model is shown of a conversation: its own beginning, and as much as fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelpack.errors import EngineError, LimitError
from modelpack.template.chat import ChatMessage

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence

    from modelpack.modelfile.model import Message
    from modelpack.template.chat import Think

    Tokenize = Callable[[Sequence[ChatMessage]], list[int]]


class PlainText:
    """The template of a model that has none: what was said, one after another."""

    def uses(self, name: str) -> bool:
        """Tell that no variable is looked at, whatever its *name*."""
        del name
        return False

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, object]] = (),
        *,
        today: datetime.date,
        think: Think = None,
        extra: Mapping[str, object] | None = None,
    ) -> str:
        """Return the texts of *messages* with nothing between them; the rest is not told."""
        del tools, today, think, extra
        return "".join(message.content for message in messages)


def complete(
    messages: Sequence[ChatMessage], *, opening: Sequence[Message], system: str | None
) -> list[ChatMessage]:
    """Put the model's *opening* before *messages*, and *system* unless they have their own."""
    said = [*(ChatMessage(role=turn.role, content=turn.content) for turn in opening), *messages]
    if system and not any(message.role == "system" for message in said):
        return [ChatMessage(role="system", content=system), *said]
    return said


class Fitting(NamedTuple):
    """What is shown of a conversation."""

    tokens: list[int]
    left_out: int
    """Messages that are not in it."""


class TooLongError(EngineError):
    """A prompt that does not fit, whatever its tokens are; they were not looked for."""


def fit(
    messages: Sequence[ChatMessage],
    tokenize: Callable[[Sequence[ChatMessage]], list[int]],
    room: int,
) -> Fitting:
    """Return the tokens of as much of *messages* as leaves them under *room*.

    As with Ollama, the oldest turns go first; system messages and the last turn always stay, so
    the answer may still be longer than *room*. Begins with the last turn and takes twice as many
    each time, so that a long history is not turned into tokens again and again.

    Raises:
        TooLongError: as *tokenize*, for the last turn.
    """
    starts = [at for at, message in enumerate(messages) if message.role == "user" and at]
    if not starts:
        return Fitting(tokenize(messages), 0)

    def since(start: int) -> list[int] | None:
        try:
            tokens = tokenize(_since(messages, start))
        except (TooLongError, LimitError):
            return None
        return tokens if len(tokens) < room else None

    whole = since(0)
    if whole is not None:
        return Fitting(whole, 0)
    best, fitting, failing, step = since(starts[-1]), len(starts) - 1, -1, 1
    if best is None:
        best, failing = tokenize(_since(messages, starts[-1])), fitting - 1
    while fitting - failing > 1:
        at = max(fitting - step, (fitting + failing) // 2)
        tokens = since(starts[at])
        if tokens is None:
            failing = at
        else:
            best, fitting, step = tokens, at, 2 * step
    return Fitting(best, len(messages) - len(_since(messages, starts[fitting])))


def _since(messages: Sequence[ChatMessage], start: int) -> list[ChatMessage]:
    return [m for at, m in enumerate(messages) if at >= start or m.role == "system"]
