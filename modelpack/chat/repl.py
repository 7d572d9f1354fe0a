"""The interactive session: lines in, answers out, until Ctrl-D or `/bye`.

Ctrl-C stops an answer and keeps the session; what was said of it counts as said.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from modelpack.chat.answer import speak
from modelpack.chat.commands import EXIT, is_command, obey, opening_text
from modelpack.chat.history import LineHistory
from modelpack.chat.pictures import question
from modelpack.chat.session import Session
from modelpack.chat.statistics import format_forgotten, format_statistics
from modelpack.errors import ModelPackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelpack.chat.models import Models, Partner

    Read: TypeAlias = Callable[[str], str]
    Write: TypeAlias = Callable[[str], None]

PROMPT = ">>> "
CONTINUATION = "... "
_QUOTES = '"""'
_SYSTEM = re.compile(r"\s*/set\s+system\s+(?=\"{3})")


def interactive(
    models: Models,
    read: Read,
    write: Write,
    *,
    history_path: Path | None = None,
    session: Session | None = None,
) -> None:
    """Talk to the model in use until the user ends it.

    *read* is given a prompt and returns a line, like `input`: EOFError ends the session,
    KeyboardInterrupt drops the line. Without *history_path* typed lines are not kept. *session* has
    the settings to begin with.
    """
    session = session or Session()
    history = LineHistory(history_path)
    if history_path is not None:
        history.teach_readline()
    lines = _Lines(read, history, session)
    write(opening_text(models.partner.opening))
    while True:
        try:
            text = lines.next()
        except KeyboardInterrupt:
            write("\nUse Ctrl + d or /bye to exit.\n")
            continue
        except EOFError:
            write("\n")
            return
        if text.strip() in EXIT:
            return
        try:
            if is_command(text):
                obey(text, session, models, write)
            elif text.strip():
                _turn(models.partner, session, text, write)
        except ModelPackError as error:
            write(f"Error: {error}\n" + (f"{error.hint}\n" if error.hint else ""))
        except KeyboardInterrupt:
            write("\n")


def _turn(partner: Partner, session: Session, text: str, write: Write) -> None:
    asked = question(text, lambda line: write(f"{line}\n"), sees=partner.sees)
    manner = replace(session.manner, options=session.options)
    said = speak(partner.model, session.ask(asked), write, manner)
    write("\n\n")
    session.keep(asked, said.text, said.calls)
    if forgotten := format_forgotten(said.finished):
        write(f"({forgotten})\n\n")
    if session.verbose:
        write("".join(f"{line}\n" for line in format_statistics(said.finished)))


class _Lines:
    """Reads what the user means as one: a line, or all between two triple quotes.

    The text after `/set system` may have such quotes, too.
    """

    def __init__(self, read: Read, history: LineHistory, session: Session) -> None:
        self._read = read
        self._history = history
        self._session = session

    def next(self) -> str:
        """Return the next text; what `read` raises drops what was read of it."""
        line = self._line(PROMPT)
        command = _SYSTEM.match(line)
        head = command.group() if command else ""
        opening = line[len(head) :].lstrip()
        if not opening.startswith(_QUOTES):
            return line
        text = opening.removeprefix(_QUOTES)
        while not text.rstrip().endswith(_QUOTES):
            text = f"{text}\n{self._line(CONTINUATION)}"
        return head + text.rstrip().removesuffix(_QUOTES)

    def _line(self, prompt: str) -> str:
        line = self._read(prompt)
        if self._session.keeps_history:
            self._history.add(line)
        return line
