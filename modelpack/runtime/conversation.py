"""What a model is shown of a conversation: its own beginning, and as much as fits."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

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


def fit(
    messages: Sequence[ChatMessage],
    tokenize: Callable[[Sequence[ChatMessage]], list[int]],
    room: int,
) -> list[int]:
    """Return the tokens of as much of *messages* as leaves them under *room*.

    As with Ollama, the oldest turns go first; system messages and the last turn always stay, so
    the answer may still be longer than *room*.
    """
    tokens = tokenize(messages)
    starts = [at for at, message in enumerate(messages) if message.role == "user" and at]
    if len(tokens) < room or not starts:
        return tokens

    def since(start: int) -> list[int]:
        return tokenize([m for at, m in enumerate(messages) if at >= start or m.role == "system"])

    index = bisect_left(starts, True, key=lambda start: len(since(start)) < room)
    return since(starts[min(index, len(starts) - 1)])
