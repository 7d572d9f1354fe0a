"""A model that answers from a script, and a terminal that types one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from modelpack.chat import Partner
from modelpack.engine.base import Delta, Event, Finished, Flag, Statistics
from modelpack.errors import InputError, NotFoundError
from modelpack.modelfile import Modelfile
from modelpack.template.chat import ChatMessage


class ScriptedModel:
    """Answers with one word after another; a word that is a function is called in its place."""

    def __init__(self, *answers: Sequence[str | Callable[[], None]]) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []
        self.options: list[dict[str, object]] = []
        self.images: list[list[bytes]] = []
        self.wishes: list[dict[str, object]] = []
        self.open_answers = 0

    def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        options=None,
        cancel: Flag | None = None,
        **wishes,
    ) -> Iterator[Event]:
        self.wishes.append(wishes)
        self.asked.append([f"{message.role}: {message.content}" for message in messages])
        self.options.append(dict(options or {}))
        self.images.append([image for message in messages for image in message.images])
        words = self._answers.pop(0) if self._answers else ["yes"]
        self.open_answers += 1
        try:
            yield from _say(words, cancel)
        finally:
            self.open_answers -= 1


def _say(words: Sequence[str | Callable[[], None]], cancel: Flag | None) -> Iterator[Event]:
    said = 0
    for word in words:
        if cancel is not None and cancel.is_set():
            yield Finished("cancelled", Statistics(generated_tokens=said))
            return
        if callable(word):
            word()
        elif not isinstance(word, str):
            yield word
        else:
            said += 1
            yield Delta(word)
    yield Finished("stop", Statistics(prompt_tokens=4, generated_tokens=said, total_s=1.5))


class Terminal:
    """Types lines; an exception in their place is raised, and the end is Ctrl-D."""

    def __init__(self, *lines: str | BaseException) -> None:
        self._lines = list(lines)
        self.prompts: list[str] = []
        self.screen = ""

    def read(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self._lines:
            raise EOFError
        line = self._lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    def write(self, text: str) -> None:
        self.screen += text


class Card:
    """The description of a model with a licence and a system prompt."""

    def show(self, field: str) -> str:
        return {"license": "MIT", "system": "Be brief.\n", "parameters": "stop    END"}.get(
            field, ""
        )


class Shelf:
    """Some models, of which one is in use; keeps what was saved, but under no upper-case name."""

    def __init__(self, partner: Partner | None = None, *others: Partner) -> None:
        self.partner = partner or partnered()
        self._others = {other.name: other for other in others}
        self.loaded: list[dict[str, object]] = []
        self.saved: dict[str, Modelfile] = {}

    def load(self, name: str, options: Mapping[str, object]) -> None:
        if name not in self._others:
            raise NotFoundError(f"model {name!r} is not in the store")
        self.loaded.append(dict(options))
        self.partner = self._others[name]

    def save(self, name: str, modelfile: Modelfile) -> None:
        if name != name.lower():
            raise InputError(f"{name!r} is not a name")
        self.saved[name] = modelfile

    def list(self, prefix: str) -> str:
        return "".join(f"{name}\n" for name in self._others if name.startswith(prefix))


def partnered(model: ScriptedModel | None = None, name: str = "first", **more: object) -> Partner:
    """A model to talk to."""
    return Partner(name=name, model=model or ScriptedModel(), description=Card(), **more)
