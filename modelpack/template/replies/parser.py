"""Reads a reply while it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from modelpack.template.chat import Think
from modelpack.template.replies.braced import FUNCTION_GEMMA, GEMMA_4, read_braced
from modelpack.template.replies.bracketed import TOOL_CALLS, read_bracketed
from modelpack.template.replies.detect import Calls, Form
from modelpack.template.replies.fenced import read_beginning, read_json
from modelpack.template.replies.harmony import read_channels
from modelpack.template.replies.invoked import DSML, MINIMAX, read_invoked
from modelpack.template.replies.parts import Part
from modelpack.template.replies.pythonic import TOOL_CALL_START, read_called, read_listed
from modelpack.template.replies.recipients import read_recipients
from modelpack.template.replies.reply import Reply, plain, text_until
from modelpack.template.replies.sections import DEEPSEEK, KIMI, read_section
from modelpack.template.replies.tagged import CLOSERS, FUNCTION, TOOL_CALL, read_keyed, read_tagged
from modelpack.template.replies.tape import Markers, Steps
from modelpack.template.replies.thought import read_thinking
from modelpack.template.replies.tools import Tools

_Read: TypeAlias = Callable[[Reply, str], Steps[None]]


def _fenced(opener: str, closer: str = "") -> tuple[Markers, _Read]:
    return Markers(opener), lambda reply, _: read_json(reply, closer)


_READERS: dict[Calls, tuple[Markers, _Read]] = {
    Calls.HERMES: (Markers(*CLOSERS, FUNCTION), read_tagged),
    Calls.QWEN_CODER: (Markers(*CLOSERS, FUNCTION), read_tagged),
    Calls.FUNCTIONARY: (Markers(*CLOSERS, FUNCTION), read_tagged),
    Calls.GLM: (Markers(TOOL_CALL), read_keyed),
    Calls.DEEPSEEK: (Markers(*DEEPSEEK.markers), partial(read_section, section=DEEPSEEK)),
    Calls.KIMI: (Markers(*KIMI.markers), partial(read_section, section=KIMI)),
    Calls.DSML: (Markers(*DSML.markers), partial(read_invoked, dialect=DSML)),
    Calls.MINIMAX: (Markers(*MINIMAX.markers), partial(read_invoked, dialect=MINIMAX)),
    Calls.MISTRAL: (Markers(TOOL_CALLS), read_bracketed),
    Calls.GRANITE: _fenced("<|tool_call|>", "<|/tool_call|>"),
    Calls.COMMAND_R: _fenced("<|START_ACTION|>", "<|END_ACTION|>"),
    Calls.NEMOTRON: _fenced("<TOOLCALL>", "</TOOLCALL>"),
    Calls.APRIEL: _fenced("<tool_calls>", "</tool_calls>"),
    Calls.LLAMA_3: _fenced("<|python_tag|>"),
    Calls.LFM: (Markers(TOOL_CALL_START), read_listed),
    Calls.GEMMA: (Markers(GEMMA_4.opens), partial(read_braced, braces=GEMMA_4)),
    Calls.FUNCTION_GEMMA: (
        Markers(FUNCTION_GEMMA.opens),
        partial(read_braced, braces=FUNCTION_GEMMA),
    ),
}
_AT_BEGINNING = (Calls.LLAMA_3, Calls.JSON)
"""Ways to write calls without a marker."""


class ReplyParser:
    """One reply; feed it as it comes, then end it.

    Calls are looked for if there are *tools*, JSON schemas as in OpenAI's API. Otherwise what
    looks like a call is text.

    Thinking is told apart unless *think* is False: with None, models that can think do, as in
    Ollama. With False its tags and all that is between them stay text, as in Ollama. Channels are
    no tags: where a model writes in channels, thinking is told apart whatever *think* says.

    Text is told at once, except for what may be the beginning of a marker; a call is told when it
    is complete. What turns out to be no call, or never ends, is told as the text that it is.

    Args:
        form: how the model writes.
        tools: what it may call.
        think: whether it shall think.
        prefilled: whether the prompt ends inside thinking; see `detect.prefilled`.
    """

    def __init__(
        self,
        form: Form,
        *,
        tools: Sequence[Mapping[str, object]] = (),
        think: Think = None,
        prefilled: bool = False,
    ) -> None:
        self._reply = Reply(Tools(tools))
        self._steps = _read(self._reply, form, think=think, prefilled=prefilled)

    def feed(self, text: str) -> list[Part]:
        """Return what is certain with *text* behind all that was fed before.

        Raises:
            ValueError: the reply was ended.
        """
        if self._reply.tape.ended:
            raise ValueError("the reply was ended")
        if not text:
            return []
        self._reply.tape.add(text)
        next(self._steps, None)
        return self._reply.take()

    def end(self) -> list[Part]:
        """Return what was held back; a second time nothing."""
        self._reply.tape.ended = True
        next(self._steps, None)
        return self._reply.take()


def _read(reply: Reply, form: Form, *, think: Think, prefilled: bool) -> Steps[None]:
    if form.calls is Calls.HARMONY:
        yield from read_channels(reply, inside=prefilled)
    elif form.thinking is not None and think is not False:
        yield from read_thinking(reply, form.thinking, inside=prefilled)
        yield from _rest(reply, form)
    else:
        yield from _rest(reply, form)
    reply.end()


def _rest(reply: Reply, form: Form) -> Steps[None]:
    if form.calls is Calls.RECIPIENTS:
        yield from read_recipients(reply)
        return
    if form.calls is Calls.PYTHON and reply.tools:
        yield from read_called(reply)
        reply.give_back()
    if form.calls in _AT_BEGINNING and reply.tools:
        yield from read_beginning(reply)
        reply.give_back()
    if form.calls in _READERS and reply.tools:
        markers, read = _READERS[form.calls]
        while marker := (yield from text_until(reply, markers)):
            yield from read(reply, marker)
            reply.give_back()
    yield from plain(reply)
