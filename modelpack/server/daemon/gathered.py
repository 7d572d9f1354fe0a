"""A whole answer, put together of what came."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from modelpack.engine.base import Delta, Finished
from modelpack.server.daemon.speaking import Replies
from modelpack.template.chat import ToolCall
from modelpack.template.replies.parts import Thinking


class Gathered:
    """Text, thoughts and calls, and how it ended."""

    def __init__(self, replies: Sequence[Replies]) -> None:
        said = [reply for together in replies for reply in together]
        self.text = "".join(reply.text for reply in said if isinstance(reply, Delta))
        self.thinking = "".join(reply.text for reply in said if isinstance(reply, Thinking))
        self.calls = [reply for reply in said if isinstance(reply, ToolCall)]
        self.logprobs = [
            one for reply in said if isinstance(reply, Delta) for one in reply.logprobs
        ]
        self.finished = next(reply for reply in said if isinstance(reply, Finished))


def call_id() -> str:
    """Return a new name for a call, of eight digits."""
    return f"call_{secrets.token_hex(4)}"
