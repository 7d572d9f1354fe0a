"""Calls that look like Python: `[get_weather(city="Oslo", days=2), now()]`.

They are read as Python's own parser reads them, and nothing of them is run.
"""

from __future__ import annotations

import ast
import json
import re

from modelpack.template.replies import bounds
from modelpack.template.replies.jsontext import loads
from modelpack.template.replies.reply import Reply
from modelpack.template.replies.tape import Markers, Steps, more, space, until

TOOL_CALL_START = "<|tool_call_start|>"
_END = Markers("<|tool_call_end|>")
_FIRST = re.compile(r"\[\s*([\w.:-]+)\s*\(")
_OPENING = re.compile(r"\[\s*[\w.:-]*\s*\Z")
_NAME = re.compile(r"[\w.]+")
_WORDS = {"true": True, "false": False, "null": None}
_FAILURES = (SyntaxError, ValueError, RecursionError, MemoryError)


def read_listed(reply: Reply, marker: str) -> Steps[None]:
    """Read what follows *marker*: a list of calls, in JSON or like Python."""
    del marker
    text, _ = yield from until(reply.tape, _END)
    _tell(reply, text)


def read_called(reply: Reply) -> Steps[None]:
    """Read a reply that is nothing but calls of known tools, in no marker at all."""
    tape = reply.tape
    yield from space(tape)
    while not (found := _FIRST.match(tape.text, tape.at)):
        if len(tape.text) - tape.at > bounds.NAME or not _OPENING.match(tape.text, tape.at):
            return
        if not (yield from more(tape)):
            return
    if found[1] not in reply.tools:
        return
    text, _ = yield from until(tape, Markers("\0"))
    _tell(reply, text)


def _tell(reply: Reply, text: str) -> None:
    try:
        calls = loads(text)
    except ValueError:
        calls = _calls(text)
    if calls:
        reply.calls(calls)


def _calls(text: str) -> object:
    """Return the calls in *text* as JSON has them, or nothing if it is something else."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [tree]
        return loads(json.dumps([_call(node) for node in nodes], allow_nan=False))
    except _FAILURES:
        return None


def _call(node: ast.expr) -> dict[str, object]:
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError("no call with named arguments")
    name = ast.unparse(node.func)
    given = {part.arg: _value(part.value) for part in node.keywords if part.arg}
    if not _NAME.fullmatch(name) or len(given) < len(node.keywords):
        raise ValueError("no name for the tool or for an argument")
    return {"name": name, "arguments": given}


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key)): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, int | float):
            return -number
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    raise ValueError("no value that JSON has")
