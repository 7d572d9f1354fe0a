"""Calls as Gemma's models write them: `call:get_weather{city:<|"|>Oslo<|"|>,days:2}`.

Texts stand between quotes that are tokens of their own. All else is as in JSON, with bare keys.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from modelpack.template.replies import bounds
from modelpack.template.replies.jsontext import clean, loads
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Markers, Steps, accept, space, until, word

_CALL = "call:"
_BARE = re.compile(r'([{,\[]\s*)([^\s"{}\[\]:,][^"{}\[\]:,]*?)\s*:')


@dataclass(frozen=True, slots=True)
class Braces:
    """The control tokens of one generation of models."""

    opens: str
    closes: str
    quote: str


GEMMA_4 = Braces(opens="<|tool_call>", closes="<tool_call|>", quote='<|"|>')
FUNCTION_GEMMA = Braces(
    opens="<start_function_call>", closes="<end_function_call>", quote="<escape>"
)


def read_braced(reply: Reply, marker: str, braces: Braces) -> Steps[None]:
    """Read what follows *marker*: one call."""
    del marker
    tape = reply.tape
    yield from space(tape)
    yield from accept(tape, _CALL)
    name = yield from word(tape)
    yield from space(tape)
    text, _ = yield from until(tape, Markers(braces.closes), bounds.CALL)
    if not name or not text.startswith("{"):
        return
    arguments = _arguments(text, braces.quote)
    if arguments is not None:
        reply.call(name, arguments)


def _arguments(text: str, quote: str) -> object:
    """Return the object in *text*, or None if there is none."""
    parts = text.strip().split(quote)
    said = "".join(
        json.dumps(clean(part)) if at % 2 else _BARE.sub(_quoted, part)
        for at, part in enumerate(parts)
    )
    try:
        return loads(said)
    except ValueError:
        return None


def _quoted(found: re.Match[str]) -> str:
    return f"{found[1]}{json.dumps(found[2])}:"
