"""Pictures in a conversation: where they stand in its text, and what tokens they are.

A picture stands before the text of its message. There it is a mark that nobody can guess; when the
rendered conversation becomes tokens, marks become what the model sees.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.errors import LimitError

if TYPE_CHECKING:
    from modelpack.engine.base import Borders, Tokenizer
    from modelpack.engine.vision import Media, Sight
    from modelpack.template.chat import ChatMessage


class Sighted:
    """A tokenizer that knows the marks of pictures, each seen once."""

    def __init__(self, tokenizer: Tokenizer, see: Callable[[bytes], Sight]) -> None:
        self._tokenizer = tokenizer
        self._see = see
        self._nonce = secrets.token_hex(16)
        self._marks = re.compile(f"(<{self._nonce}:[0-9]+>)")
        self._sights: dict[str, Sight] = {}

    @property
    def borders(self) -> Borders:
        """How texts begin and end."""
        return self._tokenizer.borders

    @property
    def specials(self) -> frozenset[str]:
        """The texts of control tokens."""
        return self._tokenizer.specials

    @property
    def media(self) -> tuple[Media, ...]:
        """All that was seen."""
        return tuple(media for sight in self._sights.values() for media in sight.media)

    def mark(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return *messages* with marks in the place of pictures.

        Raises:
            LimitError: there are too many, or one is too large.
            InputError: one is no picture.
            EngineError: the model cannot look at one.
        """
        count = sum(len(message.images) for message in messages)
        if count > limits.IMAGES:
            raise LimitError(f"{count:,} images in one request; {limits.IMAGES} are allowed")
        return [self._marked(message) if message.images else message for message in messages]

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of *text*, and of the pictures whose marks are in it."""
        tokens: list[int] = []
        for part in self._marks.split(text):
            sight = self._sights.get(part)
            if sight is not None:
                tokens += sight.tokens
            elif part:
                tokens += self._tokenizer.tokenize(part, special=special)
        return tokens

    def _marked(self, message: ChatMessage) -> ChatMessage:
        marks: list[str] = []
        for picture in message.images:
            mark = f"<{self._nonce}:{len(self._sights)}>"
            self._sights[mark] = self._see(picture)
            marks.append(mark)
        return replace(message, content="".join((*marks, message.content)), images=())
