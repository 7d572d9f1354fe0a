"""What every prompt template takes: a conversation, and tools that the model may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime

Think = bool | str | None
"""Whether the model shall think: yes, no, to a level such as `high`, or None: nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model's wish to call the tool *name*."""

    name: str
    arguments: Mapping[str, object]
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`; templates may know others."""
    content: str = ""
    thinking: str = ""
    """What the model thought before it answered."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    """For the role `tool`: the tool whose result this is."""
    tool_call_id: str = ""
    """For the role `tool`: the call whose result this is."""
    images: tuple[bytes, ...] = ()
    """Files with pictures that belong to it, before its text."""


class ChatTemplate(Protocol):
    """Turns a conversation into the prompt for the model's next answer."""

    def uses(self, name: str) -> bool:
        """Tell whether the template looks at the variable *name*, such as `tools`."""
        ...

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, object]] = (),
        *,
        today: datetime.date,
        think: Think = None,
        extra: Mapping[str, object] | None = None,
    ) -> str:
        """Return the prompt; *tools* are JSON schemas as in OpenAI's API, *extra* more variables.

        Raises:
            TemplateError: the template refuses this conversation, or fails.
        """
        ...
