"""A conversation with its settings, as a value that commands and turns change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelpack.chat.answer import Manner
from modelpack.template.chat import ChatMessage, ToolCall

if TYPE_CHECKING:
    from modelpack.modelfile.parameters import ParameterValue


@dataclass(slots=True)
class Session:
    """What was said so far, and how the rest is to be said."""

    messages: list[ChatMessage] = field(default_factory=list)
    system: str | None = None
    """Set by the user; None leaves the model's own."""
    options: dict[str, ParameterValue] = field(default_factory=dict)
    keeps_history: bool = True
    """Whether typed lines are kept for later sessions."""
    verbose: bool = False
    """Whether statistics follow each answer."""
    manner: Manner = field(default_factory=Manner)
    """How answers are to be, but for `options`."""

    def ask(self, question: ChatMessage) -> list[ChatMessage]:
        """Return the conversation with *question* as its next turn, without keeping it."""
        asked = [*self.messages, question]
        if self.system is None:
            return asked
        return [ChatMessage(role="system", content=self.system), *asked]

    def keep(self, question: ChatMessage, reply: str, calls: tuple[ToolCall, ...] = ()) -> None:
        """Keep a turn: what was asked, and as much of the reply as was given."""
        self.messages.append(question)
        self.messages.append(ChatMessage(role="assistant", content=reply, tool_calls=calls))

    def clear(self) -> None:
        """Forget what was said; settings stay."""
        self.messages.clear()

    def set_option(self, name: str, value: ParameterValue) -> None:
        """Set a parameter of the turns to come."""
        self.options[name] = value
