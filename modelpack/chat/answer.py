"""One answer, piece by piece, that Ctrl-C ends without harm.

While an answer is written, the first SIGINT only sets a flag, which the engine looks at between
its steps; a second one raises KeyboardInterrupt as usual. One that is raised all the same closes
the answer, and the model can be asked again.
"""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from modelpack.engine.base import Delta, Finished, Flag, Statistics
from modelpack.template.chat import ChatMessage, Think, ToolCall
from modelpack.template.replies.parts import Thinking

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from types import FrameType

    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.runtime.reply import Format, Reply

    Write = Callable[[str], None]
    Parameters = Mapping[str, ParameterValue]

_NOTHING: Parameters = MappingProxyType({})


class ChatModel(Protocol):
    """Something that answers conversations, such as `modelpack.runtime.loaded.LoadedModel`."""

    def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Mapping[str, object]] = ...,
        think: Think = ...,
        format: Format = ...,
        options: Parameters = ...,
        cancel: Flag | None = None,
    ) -> Iterator[Reply]:
        """Answer *messages*: pieces of text and thoughts, calls, then one `Finished`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How an answer is to be, and what of it is shown."""

    options: Parameters = field(default_factory=lambda: _NOTHING)
    tools: tuple[Mapping[str, object], ...] = ()
    """What the model may call, JSON schemas as in OpenAI's API."""
    think: Think = None
    format: Format = None
    hides_thinking: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, and how it ended."""

    text: str
    calls: tuple[ToolCall, ...]
    finished: Finished


def answer(
    model: ChatModel, messages: Sequence[ChatMessage], write: Write, manner: Manner
) -> Answer:
    """Write the answer to *messages*, and a line end.

    Raises:
        EngineError: the prompt does not fit the context, or computing failed.
        TemplateError: the model's template refuses it.
    """
    said = speak(model, messages, write, manner)
    write("\n")
    return said


def speak(
    model: ChatModel, messages: Sequence[ChatMessage], write: Write, manner: Manner
) -> Answer:
    """Write the answer to *messages* as it comes; an interrupted one is what there is of it.

    Thinking stands between two lines, as with Ollama; a call is a JSON object on a line.
    """
    cancel = threading.Event()
    page = _Page(write, hides_thinking=manner.hides_thinking)
    finished = Finished("cancelled", Statistics())
    replies = model.chat(
        messages,
        tools=manner.tools,
        think=manner.think,
        format=manner.format,
        options=manner.options,
        cancel=cancel,
    )
    try:
        with _interrupt_sets(cancel):
            for reply in replies:
                if isinstance(reply, Finished):
                    finished = reply
                else:
                    page.take(reply)
            page.end_thinking()
    except KeyboardInterrupt:
        pass
    finally:
        close = getattr(replies, "close", None)
        if close is not None:  # generators have it; other iterators need not
            close()
    return Answer("".join(page.text), tuple(page.calls), finished)


class _Page:
    """Writes what comes."""

    def __init__(self, write: Write, *, hides_thinking: bool) -> None:
        self.text: list[str] = []
        self.calls: list[ToolCall] = []
        self._write = write
        self._hides = hides_thinking
        self._thinking = False

    def take(self, reply: Delta | Thinking | ToolCall) -> None:
        """Write *reply*."""
        if isinstance(reply, Thinking):
            self._think(reply.text)
            return
        self.end_thinking()
        if isinstance(reply, Delta):
            self.text.append(reply.text)
            self._write(reply.text)
            return
        self.calls.append(reply)
        said = {"name": reply.name, "arguments": reply.arguments}
        line_end = "\n" if self.text or len(self.calls) > 1 else ""
        self._write(f"{line_end}{json.dumps(said, ensure_ascii=False)}")

    def end_thinking(self) -> None:
        """Say, if that is so, that the thinking is over."""
        if self._thinking and not self._hides:
            self._write("\n...done thinking.\n\n")
        self._thinking = False

    def _think(self, text: str) -> None:
        if not self._hides:
            self._write(text if self._thinking else f"Thinking...\n{text}")
        self._thinking = True


@contextmanager
def _interrupt_sets(cancel: threading.Event) -> Generator[None, None, None]:
    """Let the first SIGINT set *cancel*; only the main thread can, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGINT)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        cancel.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous or signal.SIG_DFL)
