"""What a model answers, as whoever asked gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from modelpack.engine.base import Delta, Finished
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking

Reply: TypeAlias = Delta | Thinking | ToolCall | Finished
"""A piece of the answer: text, a thought, one whole call; `Finished` comes last."""

Format: TypeAlias = str | Mapping[str, object] | None
"""What the text of an answer must be: `json` for any JSON object, or a JSON schema."""


def with_loading(finished: Finished, load_s: float) -> Finished:
    """Return *finished* with the seconds that loading took before the answer."""
    took = finished.statistics
    return replace(finished, statistics=replace(took, load_s=load_s, total_s=took.total_s + load_s))
