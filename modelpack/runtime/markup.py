"""Tokens of a rendered conversation in which nobody can forge the template's markup.

A template writes control tokens such as `<|im_end|>` between the messages. If a user types that
text, it must stay text. So a conversation is turned into tokens like this:

1. If no message contains the text of a control token, the rendered text is taken as a whole,
   exactly as llama.cpp's own programs do. This is nearly always the case.
2. Otherwise the conversation is rendered again with an unguessable placeholder for each text of a
   message. Putting the texts back must give the first rendering (as they are, or stripped, as many
   templates do). Then it is known which control tokens the template wrote, and only those become
   tokens; all between them is one run of plain text, split into tokens as without markup.
3. A template that does something else with texts does not survive that comparison. For it, the
   control tokens' texts inside the messages are broken up by a zero-width space.

Not protected: names and arguments of tool calls and tool definitions, which come from the program
and not from whoever talks to it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from modelpack.engine.base import Tokenizer
    from modelpack.template.chat import ChatMessage

    Render: TypeAlias = Callable[[Sequence[ChatMessage]], str]

_BREAK = "\u200b"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a rendered conversation."""

    text: str
    markup: bool
    """Whether the template wrote it, rather than someone in the conversation."""


def tokenize_conversation(
    messages: Sequence[ChatMessage], render: Render, tokenizer: Tokenizer
) -> list[int]:
    """Return the tokens of *messages* under *render*, with the token that begins every text.

    Raises:
        TemplateError: the template refuses this conversation.
    """
    text = render(messages)
    if not any(forges(said, tokenizer) for said in _texts(messages)):
        return begin(tokenizer.tokenize(text, special=True), tokenizer)
    spans = mark(messages, render, text)
    if spans is None:
        safe = [_defuse(message, tokenizer) for message in messages]
        return begin(tokenizer.tokenize(render(safe), special=True), tokenizer)
    return begin(list(_tokenize_spans(spans, tokenizer)), tokenizer)


def begin(tokens: list[int], tokenizer: Tokenizer) -> list[int]:
    """Return *tokens* with the token that begins every text, unless it is there already."""
    bos = tokenizer.borders.bos
    return tokens if bos < 0 or tokens[:1] == [bos] else [bos, *tokens]


def forges(text: str, tokenizer: Tokenizer) -> bool:
    """Tell whether *text* has control tokens in it if it is read for them."""
    return tokenizer.tokenize(text, special=True) != tokenizer.tokenize(text, special=False)


def mark(messages: Sequence[ChatMessage], render: Render, plain: str) -> list[Span] | None:
    """Tell the template's part in *plain* from the messages', or None where that fails."""
    nonce = secrets.token_hex(16)
    names = [f"{nonce}{number:08d}" for number in range(2 * len(messages))]
    contents = dict(zip(names, _texts(messages), strict=True))
    marked = render(
        [
            replace(
                message,
                content=names[2 * at] if message.content else "",
                thinking=names[2 * at + 1] if message.thinking else "",
            )
            for at, message in enumerate(messages)
        ]
    )
    parts = re.split(f"({nonce}[0-9]{{8}})", marked)
    return _align(parts, contents, plain)


def _align(parts: list[str], contents: dict[str, str], plain: str) -> list[Span] | None:
    """Walk through *plain*: markup at even *parts*, the name of a text at odd ones."""
    spans = [Span(parts[0], markup=True)]
    at = len(parts[0])
    if not plain.startswith(parts[0]):
        return None
    for name, markup in zip(parts[1::2], parts[2::2], strict=True):
        text = contents[name]
        fitting = (said for said in (text, text.strip()) if plain.startswith(said + markup, at))
        said = next(fitting, None)
        if said is None:
            return None
        spans += [Span(said, markup=False), Span(markup, markup=True)]
        at += len(said) + len(markup)
    return spans if at == len(plain) else None


def _tokenize_spans(spans: Sequence[Span], tokenizer: Tokenizer) -> Iterator[int]:
    longest_first = sorted(tokenizer.specials, key=len, reverse=True)
    special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
    run = ""
    for span in spans:
        if not span.markup:
            run += span.text
            continue
        for at, part in enumerate(special.split(span.text)):
            if at % 2 == 0:
                run += part
                continue
            yield from tokenizer.tokenize(run, special=False)
            yield from tokenizer.tokenize(part, special=True)
            run = ""
    yield from tokenizer.tokenize(run, special=False)


def _defuse(message: ChatMessage, tokenizer: Tokenizer) -> ChatMessage:
    content, thinking = message.content, message.thinking
    for special in tokenizer.specials:
        broken = special[:1] + _BREAK + special[1:]
        content = content.replace(special, broken)
        thinking = thinking.replace(special, broken)
    return replace(message, content=content, thinking=thinking)


def _texts(messages: Sequence[ChatMessage]) -> list[str]:
    return [text for message in messages for text in (message.content, message.thinking)]
