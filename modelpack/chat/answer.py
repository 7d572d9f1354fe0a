"""One answer, piece by piece, that Ctrl-C ends without harm.

While an answer is written, the first SIGINT only sets a flag, which the engine looks at between
its steps; a second one raises KeyboardInterrupt as usual. One that is raised all the same closes
the answer, and the model can be asked again.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from modelpack.engine.base import Delta, Event, Finished, Flag, Statistics
from modelpack.template.chat import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from types import FrameType

    from modelpack.modelfile.parameters import ParameterValue

    Write = Callable[[str], None]
    Parameters = Mapping[str, ParameterValue]

_NOTHING: Parameters = MappingProxyType({})


class ChatModel(Protocol):
    """Something that answers conversations, such as `modelpack.runtime.loaded.LoadedModel`."""

    def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        options: Parameters = ...,
        cancel: Flag | None = None,
    ) -> Iterator[Event]:
        """Answer *messages*: pieces of text, then one `Finished`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, and how it ended."""

    text: str
    finished: Finished


def answer(
    model: ChatModel, prompt: str, write: Write, *, options: Parameters = _NOTHING
) -> Finished:
    """Write the answer to *prompt*, and a line end; return how it ended.

    Raises:
        EngineError: the prompt does not fit the context, or computing failed.
        TemplateError: the model's template refuses it.
    """
    said = speak(model, [ChatMessage(role="user", content=prompt)], write, options=options)
    write("\n")
    return said.finished


def speak(
    model: ChatModel, messages: Sequence[ChatMessage], write: Write, *, options: Parameters
) -> Answer:
    """Write the answer to *messages* as it comes; an interrupted one is what there is of it."""
    cancel = threading.Event()
    finished = Finished("cancelled", Statistics())
    pieces: list[str] = []
    events = model.chat(messages, options=options, cancel=cancel)
    try:
        with _interrupt_sets(cancel):
            for event in events:
                if isinstance(event, Delta):
                    pieces.append(event.text)
                    write(event.text)
                else:
                    finished = event
    except KeyboardInterrupt:
        pass
    finally:
        close = getattr(events, "close", None)
        if close is not None:  # generators have it; other iterators need not
            close()
    return Answer("".join(pieces), finished)


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
