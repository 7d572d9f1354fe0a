"""What an answer must look like, as the engine's grammars say it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelpack.engine.base import Grammar, Lead
from modelpack.engine.loosening import OPTIONS, is_strict, loosened
from modelpack.engine.marks import expression
from modelpack.engine.schemas import check_schema
from modelpack.errors import InputError
from modelpack.template.replies.detect import Calls, Form
from modelpack.template.replies.tools import Tools

if TYPE_CHECKING:
    from modelpack.runtime.reply import Format
    from modelpack.template.chat import Think
    from modelpack.template.replies.writing import Writing

_FINAL = "<|channel|>final<|message|>"
_TURN = "<|start|>assistant"


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


def grammar_of_calls(
    tools: Sequence[Mapping[str, object]],
    choice: str,
    writing: Writing,
    controls: Mapping[str, int],
) -> Grammar:
    """Return the grammar of calls of *tools*, or of one call of the tool *choice*.

    Args:
        tools: JSON schemas as in OpenAI's API.
        choice: `required`, or the name of a tool.
        writing: how the model writes calls.
        controls: names of control tokens, and which tokens they are.

    Raises:
        InputError: there is no such tool.
    """
    known = Tools(tools).schemas
    chosen = known if choice == "required" else {n: s for n, s in known.items() if n == choice}
    if not chosen:
        raise InputError(f"tool_choice is {choice[:80]!r}, and there is no such tool")
    rules: list[str] = []
    before, middle, after = (
        expression(text, controls) for text in (writing.before, writing.middle, writing.after)
    )
    for number, (name, schema) in enumerate(chosen.items()):
        said = json.dumps(json.dumps(name)[1:-1] if writing.quoted else name)
        rules.append(f"call_{number}: {before} {said} {middle} arguments_{number} {after}")
        rules.append(f"arguments_{number}: %json {json.dumps(_arguments(schema))}")
    call = " | ".join(f"call_{number}" for number in range(len(chosen)))
    more = ""
    if choice == "required" and writing.between is not None:
        more = f" ({expression(writing.between, controls)} call)*"
    begin, end = expression(writing.begin, controls), expression(writing.end, controls)
    return Grammar("lark", "\n".join((f"start: {begin} call{more} {end}", f"call: {call}", *rules)))


def lead_of(form: Form, *, think: Think, inside: bool, calls: bool) -> Lead | None:
    """Return what a model that writes in *form* may think before an answer of a given form.

    Args:
        form: how the model writes.
        think: whether it shall think; None: nobody said.
        inside: whether the prompt ends inside thinking.
        calls: whether the answer is made of calls.
    """
    tags = form.thinking
    if tags is None:
        return None
    if form.calls is Calls.HARMONY:
        then, instead = (_TURN, "") if calls else (_TURN + _FINAL, _FINAL)
        return Lead(opens=tags.opens, closes=tags.closes, begun=inside, then=then, instead=instead)
    if think is False:
        return None
    return Lead(opens=tags.opens, closes=tags.closes, begun=inside)


def _arguments(schema: object) -> dict[str, object]:
    """Return the *schema* of arguments: an object, with nothing in it that is not named there."""
    loose = loosened(schema)
    check_schema(loose)
    said = dict(loose) if isinstance(loose, Mapping) else {}
    if "properties" in said:
        said.setdefault("additionalProperties", False)
    guidance = {**OPTIONS, "lenient": not is_strict(schema)}
    return {"type": "object", **said, "x-guidance": guidance}
