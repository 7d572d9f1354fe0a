"""A `Modelfile` to text that parses to the same one again, and never to another.

Ollama's grammar has no escapes, so a few texts cannot be written: those are refused.
"""

from __future__ import annotations

import re
from dataclasses import replace

from modelpack import limits
from modelpack.errors import InputError, LimitError, ModelfileError
from modelpack.modelfile.lexer import Lexer, invisible
from modelpack.modelfile.model import PAIRS, TEXTS, Instruction, Modelfile
from modelpack.modelfile.parser import parse

_BARE_LABEL = re.compile(r"[A-Za-z0-9._/:@+-]+\Z")
_HINT = "make instructions as parse does: upper case, one or two arguments"


def render(modelfile: Modelfile) -> str:
    """Return the text of *modelfile*: `parse` makes an equal one out of it.

    Raises:
        InputError: a text in it cannot be written in a Modelfile, or it breaks a rule that
            `parse` checks.
    """
    text = "".join(f"{_line(i)}\n" for i in modelfile.instructions)
    try:
        again = parse(text)
    except ModelfileError as error:
        raise InputError(f"this is not a Modelfile: {error}", hint=error.hint) from None
    if again != modelfile:
        raise InputError(
            "this is not a Modelfile: an instruction in it has wrong arguments",
            hint=_HINT,
        )
    return text


def check(modelfile: Modelfile) -> None:
    """Check a *modelfile* that was put together, whose texts may be such as cannot be written.

    Raises:
        InputError: it breaks a rule that `parse` checks, or a text is not Unicode.
        LimitError: its texts are larger than a Modelfile may be.
    """
    rows = modelfile.instructions
    render(Modelfile(tuple(_with_text(row, "x") if row.name in TEXTS else row for row in rows)))
    try:
        size = sum(len(arg.encode()) for row in rows for arg in row.args)
    except UnicodeEncodeError:
        raise InputError("a text holds half a character, which is not Unicode") from None
    if size > limits.MODELFILE:
        raise LimitError(f"the texts are larger than {limits.MODELFILE:,} bytes")


def writable(instruction: Instruction) -> bool:
    """Tell whether a Modelfile can say *instruction*."""
    try:
        render(Modelfile((Instruction("FROM", ("x",)), instruction)))
    except InputError:
        return False
    return True


def _with_text(instruction: Instruction, text: str) -> Instruction:
    return replace(instruction, args=(*instruction.args[:-1], text))


def _line(instruction: Instruction) -> str:
    name, args = instruction.name, instruction.args
    if len(args) != (2 if name in PAIRS else 1):
        raise InputError(f"{name} with {len(args)} arguments is not an instruction", hint=_HINT)
    for character in invisible("".join(args)):
        raise InputError(
            f"this {name} cannot be written in a Modelfile: it holds U+{ord(character):04X}",
            hint="a Modelfile holds no control characters and no invisible ones",
        )
    if name == "LABEL":
        return f"{name} {'='.join(_label(arg) for arg in args)}"
    return " ".join((name, *args[:-1], _value(name, args[-1])))


def _label(text: str) -> str:
    if _BARE_LABEL.match(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(name: str, text: str) -> str:
    once, thrice = f'"{text}"', f'"""{text}"""'
    for candidate in (text, thrice, once) if "\n" in text else (text, once, thrice):
        if candidate and _reads_as(candidate, text):
            return candidate
    raise InputError(
        f"this {name} cannot be written in a Modelfile: it goes over several lines, "
        'and one of them ends with """',
        hint='change the """ in the text',
    )


def _reads_as(candidate: str, text: str) -> bool:
    """Tell whether the value written *candidate* is *text*, and nothing is left over."""
    lexer = Lexer(f" {candidate}\n")
    try:
        token = lexer.value()
    except ModelfileError:
        return False
    return token is not None and token.text == text and lexer.name() is None
