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

Names and arguments of calls and what is said of tools (`harmless`) are as much what someone said.
The control tokens' texts in them are broken up in any case: templates write them as JSON or in ways
of their own, and nobody needs them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from modelpack.engine.names import finder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelpack.engine.base import Tokenizer
    from modelpack.template.chat import ChatMessage, ToolCall

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
    messages = [_with_harmless_calls(message, tokenizer) for message in messages]
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
    """Tell whether *text* has texts of control tokens in it."""
    return finder(tokenizer.specials).search(text) is not None


def harmless(value: object, tokenizer: Tokenizer) -> object:
    """Return *value*, as JSON has it, with the texts of control tokens in it broken up."""
    if isinstance(value, str):
        return finder(tokenizer.specials).sub(_broken, value)
    if isinstance(value, Mapping):
        return {
            harmless(name, tokenizer): harmless(said, tokenizer) for name, said in value.items()
        }
    if isinstance(value, Sequence):
        return [harmless(said, tokenizer) for said in value]
    return value


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
    special, run = finder(tokenizer.specials), ""
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
    break_up = finder(tokenizer.specials).sub
    content, thinking = break_up(_broken, message.content), break_up(_broken, message.thinking)
    return replace(message, content=content, thinking=thinking)


def _with_harmless_calls(message: ChatMessage, tokenizer: Tokenizer) -> ChatMessage:
    if not (message.tool_calls or message.tool_name or message.tool_call_id):
        return message

    def said(text: str) -> str:
        return finder(tokenizer.specials).sub(_broken, text)

    def safe(call: ToolCall) -> ToolCall:
        arguments = {
            said(name): harmless(value, tokenizer) for name, value in call.arguments.items()
        }
        return replace(call, name=said(call.name), arguments=arguments, id=said(call.id))

    return replace(
        message,
        tool_calls=tuple(map(safe, message.tool_calls)),
        tool_name=said(message.tool_name),
        tool_call_id=said(message.tool_call_id),
    )


def _broken(found: re.Match[str]) -> str:
    name = found[0]
    return name[:1] + _BREAK + name[1:]


def _texts(messages: Sequence[ChatMessage]) -> list[str]:
    return [text for message in messages for text in (message.content, message.thinking)]
