r"""Characters to words and values, each with the line and column where it begins.

The rules are Ollama's, and `LABEL` is ours:

- An instruction begins a line; `#` in its place makes the line a comment. A comment never
  follows anything.
- A value that begins with `"` or three of them ends at the first end of line where what was read
  so far, without trailing blanks, ends with the same quotes. So quotes inside a line are plain
  text, and a quoted value may go over many lines. There are no escapes.
- Any other value is the rest of the line without the blanks around it.
- Lines end with LF, CR LF or CR; inside quotes they are kept as they are.
- `LABEL` holds `key=value` pairs. In a double-quoted key or value, and only there, `\"` and
  `\\` stand for the quote and the backslash.

What an instruction is called and how many values it has is the parser's business.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.errors import ModelfileError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BOM = "\ufeff"
_KEPT = frozenset("\t\r\n ")
_INVISIBLE = frozenset(("Cc", "Co", "Cs"))
"""Categories that are dropped: controls, private use, surrogates; a byte order mark is, too.

Ollama drops every space but one and all joiners too, which takes emoji and ideographic spaces
apart; those are text, and stay. Not `Cn` (unassigned): it depends on Python's Unicode version.
"""

_BLANK = " \t"
_BLANKS = re.compile(r"[ \t]*")
_WORD = re.compile(r"[^ \t\r\n]*")
_LINE = re.compile(r"[^\r\n]*")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_KEY = re.compile(r"[^ \t\r\n=]*")
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Token:
    """A word or value, without its quotes."""

    text: str
    line: int
    column: int
    quoted: bool = False

    def error(self, message: str, *, hint: str | None = None) -> ModelfileError:
        """Return an error that points here."""
        return ModelfileError(message, line=self.line, column=self.column, hint=hint)


def decode(data: bytes) -> str:
    """Return the text in *data*: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        ModelfileError: *data* is neither.
    """
    mark, encoding = next(((m, e) for m, e in _BOMS if data.startswith(m)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = _NEWLINE.split(error.object[: error.start].decode(encoding))
        raise ModelfileError(
            f"this is not {encoding.upper()} text",
            line=len(before),
            column=len(before[-1]) + 1,
            hint="save the file as UTF-8",
        ) from None


def invisible(text: str) -> str:
    """Return the characters of *text* that a Modelfile cannot hold, each once, in order."""
    return "".join(
        character
        for character in sorted(set(text) - _KEPT)
        if character == _BOM or unicodedata.category(character) in _INVISIBLE
    )


def visible(text: str) -> str:
    """Return *text* without a byte order mark and the characters that `invisible` finds."""
    return text.translate(dict.fromkeys(map(ord, invisible(text))))


class Lexer:
    """A cursor over the text of a Modelfile that `visible` went over."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0

    def name(self) -> Token | None:
        """Skip to the next instruction and return its name, or None where the text ends."""
        while True:
            self._skip(_BLANKS)
            if self._at == len(self._text):
                return None
            if self._text[self._at] in "\r\n":
                self._next_line()
            elif self._text[self._at] == "#":
                self._skip(_LINE)
            else:
                return self._take(_WORD)

    def word(self) -> Token:
        """Return the next word of this line; it is empty where the line ends."""
        self._skip(_BLANKS)
        return self._take(_WORD)

    def value(self) -> Token | None:
        """Return the value that begins here, or None where not even a blank follows.

        Raises:
            ModelfileError: a quote is not closed; the error is where it begins.
        """
        if self._at == len(self._text) or self._text[self._at] not in _BLANK:
            return None
        self._skip(_BLANKS)
        if not self._text.startswith('"', self._at):
            return self._take(_LINE)
        return self._quoted_value('"""' if self._text.startswith('"""', self._at) else '"')

    def pairs(self) -> Iterator[tuple[Token, Token]]:
        """Yield the `key=value` pairs of this line.

        Raises:
            ModelfileError: something is not a pair, or a quote is not closed.
        """
        while True:
            self._skip(_BLANKS)
            if self._at == len(self._text) or self._text[self._at] in "\r\n":
                return
            key = self._atom(_KEY)
            if not key.text or not self._text.startswith("=", self._at):
                raise key.error(
                    f"expected key=value, not {key.text[:64]!r}",
                    hint="put quotes around a value with blanks; comments have their own lines",
                )
            self._at += 1
            value = self._atom(_WORD)
            if value.quoted and self._text[self._at : self._at + 1].strip():
                raise self._here().error(
                    "something follows the closing quote",
                    hint='put a blank between pairs, and write \\" for a quote inside quotes',
                )
            yield key, value

    def _quoted_value(self, mark: str) -> Token:
        first = self._here()
        begin = start = self._at
        while True:
            self._skip(_LINE)
            piece = self._text[start : self._at].rstrip(_BLANK)
            stop = start + len(piece)
            if piece.endswith(mark) and stop - begin >= 2 * len(mark):
                text = self._text[begin + len(mark) : stop - len(mark)]
                return Token(text, first.line, first.column, quoted=True)
            if self._at == len(self._text):
                raise first.error(
                    f"the {mark} that begins here is never closed",
                    hint=f"the closing {mark} must be the last thing on its line",
                )
            self._next_line()
            start = self._at

    def _atom(self, bare: re.Pattern[str]) -> Token:
        if not self._text.startswith('"', self._at):
            return self._take(bare)
        first = self._here()
        match = _QUOTED.match(self._text, self._at)
        if match is None:
            raise first.error(
                'the " that begins here is never closed', hint='write \\" for a quote inside quotes'
            )
        for newline in _NEWLINE.finditer(self._text, self._at, match.end()):
            self._line += 1
            self._line_start = newline.end()
        self._at = match.end()
        return Token(_ESCAPE.sub(r"\1", match[1]), first.line, first.column, quoted=True)

    def _here(self) -> Token:
        return Token("", self._line, self._at - self._line_start + 1)

    def _take(self, pattern: re.Pattern[str]) -> Token:
        column = self._at - self._line_start + 1
        return Token(self._skip(pattern).rstrip(_BLANK), self._line, column)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _next_line(self) -> None:
        self._skip(_NEWLINE)
        self._line += 1
        self._line_start = self._at
