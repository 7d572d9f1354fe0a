"""What an answer must look like, as the engine's grammars say it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from modelpack.engine.base import Grammar
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.runtime.reply import Format


def grammar_of(format: Format, grammar: Grammar | None) -> Grammar | None:
    """Return the grammar of a *format*, or the *grammar* that was given.

    Raises:
        InputError: the format is none, or there are both.
    """
    if format is None:
        return grammar
    if grammar is not None:
        raise InputError("an answer has a format or a grammar, not both")
    if format == "json":
        return Grammar("json")
    if isinstance(format, str):
        raise InputError(f"the format {format[:80]!r} is neither json nor a JSON schema")
    return Grammar("json_schema", json.dumps(format))
