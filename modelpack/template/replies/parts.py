"""What a reply is made of, in the order in which it comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from modelpack.template.chat import ToolCall


@dataclass(frozen=True, slots=True)
class Text:
    """Some of the text for the user."""

    text: str
    spans: tuple[tuple[int, int], ...] = field(default=(), compare=False)
    """The characters of the reply that these are, each run from its first to behind its last."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """Some of what the model thinks before it answers."""

    text: str


Part: TypeAlias = Text | Thinking | ToolCall
"""A piece of text or thinking, as it came, or one whole call."""
