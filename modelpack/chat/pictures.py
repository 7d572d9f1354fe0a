"""Pictures to look at: given beside a question, or named in its text as Ollama has it.

A name is a path that begins with `/`, `./`, `../` or `~/`, has the ending of a picture and is a
file's. It may hold spaces, stand in quotes, and have backslashes before what a shell treats
specially, as terminals write the path of a file that is dropped on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from modelpack import limits
from modelpack.errors import InputError
from modelpack.template.chat import ChatMessage

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
"""What the names of pictures end with, in any case."""

_START = r"(?:~|\.\.?)?/"
_NAME = re.compile(
    rf"""
    (?<![^\s'"(\[])                         # a word begins here, perhaps after a quote
    {_START}
    (?:(?!(?<!\\)\s['"]?{_START})[^\r\n])*? # goes on, but not into another path
    \.(?i:jpe?g|png|webp)\b(?![./]\w)
    """,
    re.VERBOSE,
)
_ESCAPED = re.compile(r"'\\''|\\([ ()\[\]{}$&;'\\*?~])")
_QUOTES = ("'", '"')


def question(
    text: str, tell: Callable[[str], object], *, sees: bool, images: Sequence[Path] = ()
) -> ChatMessage:
    """Return the user's turn: *text* with *images*, and with those it names if the model *sees*.

    What was named is taken out of the text, and *tell* is given a line about it.

    Raises:
        InputError: a picture cannot be read.
    """
    text, named = named_in(text) if sees else (text, [])
    found = tuple(_read(path) for path in (*images, *named))
    for path in named:
        tell(f"Added image '{path}'")
    return ChatMessage(role="user", content=text, images=found)


def named_in(text: str) -> tuple[str, list[Path]]:
    """Return *text* without the names of pictures in it, and their paths, each once."""
    found: dict[Path, None] = {}
    rest: list[str] = []
    at = 0
    for match in _NAME.finditer(text):
        path = _existing(match.group())
        if path is None:
            continue
        found[path] = None
        start, end = match.span()
        if text[end : end + 1] in _QUOTES and text[start - 1 : start] == text[end]:
            start, end = start - 1, end + 1
        rest.append(text[at:start])
        at = end
    return ("".join((*rest, text[at:])).strip() if found else text), list(found)


def _existing(name: str) -> Path | None:
    """Return the file that *name* means, as it is or without what protects it from a shell."""
    for text in (name, _ESCAPED.sub(lambda match: match.group(1) or "'", name)):
        try:
            path = Path(text).expanduser()
            if path.is_file():
                return path
        except (OSError, RuntimeError, ValueError):
            continue
    return None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limits.IMAGE + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
