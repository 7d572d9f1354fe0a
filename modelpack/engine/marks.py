"""Texts with control tokens in them, as Lark grammars say them. Pure.

Where a model has a token for a marker such as `</think>`, only that token is the marker. Where it
has none, the marker is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelpack.engine.base import Lead

JSON_SPACE = " |\\r?\\n{1,2}[ \\t]{0,20}"
"""Space between the parts of JSON; without a bound, small models write nothing else."""
_ANYTHING = r"/(.|\n)*/"
_SPACE = r"/[ \t\r\n]{0,8}/"


def expression(text: str, controls: Mapping[str, int]) -> str:
    """Return *text* as a Lark expression; names in *controls* are the tokens of these numbers."""
    if not text:
        return '""'
    longest_first = sorted((name for name in controls if name in text), key=len, reverse=True)
    names = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
    parts = names.split(text) if longest_first else [text]
    return " ".join(
        f"<[{controls[part]}]>" if at % 2 else json.dumps(part)
        for at, part in enumerate(parts)
        if part
    )


def leading(lead: Lead, controls: Mapping[str, int]) -> str:
    """Return Lark rules of which `lead` is what may come before an answer."""
    rules: list[str] = []
    bodies: list[str] = []
    for number, closing in enumerate(lead.closes):
        if closing in controls:
            bodies.append(f"{_ANYTHING} <[{controls[closing]}]>")
        else:
            bodies.append(f"free_{number}")
            rules.append(f"free_{number}[suffix={json.dumps(closing)}]: {_ANYTHING}")
    opening = " | ".join(expression(name, controls) for name in lead.opens)
    begins = "" if lead.begun else f"({opening}) "
    then = f" {expression(lead.then, controls)}" if lead.then else " SPACE"
    instead = "" if lead.begun else f" | {expression(lead.instead, controls)}"
    head = f"lead: {begins}({' | '.join(bodies)}){then}{instead}"
    return "\n".join((head, *rules, f"SPACE: {_SPACE}", ""))
