"""Words and values to a `Modelfile`: which instructions there are and what each one needs.

See: https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.errors import InputError, LimitError, ModelfileError
from modelpack.modelfile.lexer import Lexer, Token, decode, invisible, visible
from modelpack.modelfile.model import INSTRUCTIONS, ROLES, TEXTS, Instruction, Modelfile
from modelpack.modelfile.near import nearest
from modelpack.modelfile.parameters import PARAMETERS, parse_parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTE_ORDER_MARK = "\ufeff"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}"
    rf"(?:-{_PRERELEASE}(?:\.{_PRERELEASE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?)?\Z"
)


def parse(text: str | bytes) -> Modelfile:
    """Return what the Modelfile *text* says.

    Raises:
        LimitError: *text* is larger than a Modelfile may be.
        ModelfileError: it breaks a rule of the language; the error knows line and column.
    """
    if len(text) > limits.MODELFILE:
        raise LimitError(
            f"Modelfile is larger than {limits.MODELFILE:,} bytes",
            hint="is that a Modelfile? weights are named with FROM, not pasted",
        )
    source = decode(text) if isinstance(text, bytes) else text
    source = source.removeprefix(_BYTE_ORDER_MARK)
    instructions = tuple(_instructions(Lexer(visible(source))))
    _check_together(instructions)
    return Modelfile(instructions, (*_dropped(source), *_ignored(instructions)))


def _instructions(lexer: Lexer) -> Iterator[Instruction]:
    while (word := lexer.name()) is not None:
        name = word.text.upper()
        if name not in INSTRUCTIONS:
            raise _unknown(word)
        if name == "LABEL":
            yield from _labels(lexer, word)
        else:
            yield Instruction(name, _ARGS.get(name, _plain)(lexer, word), word.line, word.column)


def _plain(lexer: Lexer, word: Token) -> tuple[str, ...]:
    return (_value(lexer, word).text,)


def _parameter(lexer: Lexer, word: Token) -> tuple[str, ...]:
    key = lexer.word()
    if not key.text:
        raise word.error("PARAMETER has no name", hint="PARAMETER <name> <value>")
    if key.text not in PARAMETERS:
        _parse_parameter(key, "", key)
    value = _value(lexer, word, f"PARAMETER {key.text}")
    _parse_parameter(key, value.text, value)
    return key.text, value.text


def _parse_parameter(key: Token, text: str, where: Token) -> None:
    try:
        parse_parameter(key.text, text)
    except InputError as error:
        raise where.error(str(error), hint=error.hint) from None


def _message(lexer: Lexer, word: Token) -> tuple[str, ...]:
    role = lexer.word()
    if not role.text:
        raise word.error("MESSAGE has no role", hint="MESSAGE <role> <text>")
    if role.text not in ROLES:
        near = nearest(role.text, ROLES)
        raise role.error(
            f"message role must be one of {', '.join(ROLES)}, not {role.text[:64]!r}",
            hint=f"did you mean {near}?" if near else "MESSAGE <role> <text>",
        )
    return role.text, _value(lexer, word, f"MESSAGE {role.text}").text


def _requires(lexer: Lexer, word: Token) -> tuple[str, ...]:
    version = _value(lexer, word)
    if not _SEMVER.match(version.text):
        raise version.error(
            f"requires must be a valid semver, not {version.text[:64]!r}", hint="such as 0.14.0"
        )
    return (version.text,)


_ARGS = {"PARAMETER": _parameter, "MESSAGE": _message, "REQUIRES": _requires}


def _labels(lexer: Lexer, word: Token) -> Iterator[Instruction]:
    pairs = list(lexer.pairs())
    if not pairs:
        raise word.error("LABEL has no value", hint="LABEL <key>=<value> ...")
    for key, value in pairs:
        yield Instruction("LABEL", (key.text, value.text), key.line, key.column)


def _value(lexer: Lexer, word: Token, what: str = "") -> Token:
    """Return the value of *word*; *what* names it where a key or role stands between."""
    name = word.text.upper()
    token = lexer.value()
    if token is not None and (token.text or name in TEXTS or (token.quoted and what)):
        return token
    hint = f'write {what or name} "" for an empty one' if name in TEXTS else None
    raise word.error(f"{what or name} has no value", hint=hint)


def _unknown(word: Token) -> ModelfileError:
    near = nearest(word.text, INSTRUCTIONS)
    return word.error(
        f"unknown instruction {word.text[:64]!r}; it must be one of {', '.join(INSTRUCTIONS)}",
        hint=f"did you mean {near}?" if near else 'text over several lines needs """ around it',
    )


def _check_together(instructions: tuple[Instruction, ...]) -> None:
    if not any(i.name == "FROM" for i in instructions):
        raise ModelfileError(
            "no FROM line",
            line=1,
            column=1,
            hint="say what to build on: FROM ./model.gguf, or FROM and the name of a model",
        )
    drafts = [i for i in instructions if i.name == "DRAFT"]
    for second in drafts[1:]:
        raise ModelfileError(
            "only one DRAFT is possible",
            line=second.line,
            column=second.column,
            hint=f"the first is on line {drafts[0].line}",
        )


def _dropped(source: str) -> Iterator[str]:
    if characters := invisible(source):
        names = ", ".join(f"U+{ord(c):04X}" for c in characters[:8])
        yield f"characters that cannot be seen were dropped: {names}"


def _ignored(instructions: tuple[Instruction, ...]) -> Iterator[str]:
    for i in instructions:
        if i.name == "PARAMETER" and PARAMETERS[i.args[0]].ignored:
            yield f"line {i.line}: parameter {i.args[0]} has no effect"
