from __future__ import annotations

import json

import pytest

from modelpack.template.chat import ToolCall
from modelpack.template.replies.detect import Calls, Form
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.writing import writing_of

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "stop")]
SOURCES = {
    **{calls.value: (calls, "") for calls in Calls},
    "mistral with arguments": (Calls.MISTRAL, "[TOOL_CALLS] [ARGS]"),
    "deepseek in fences": (Calls.DEEPSEEK, "```json"),
    "json with parameters": (Calls.JSON, "name parameters"),
}
NO_JSON = {
    *(Calls.GLM, Calls.QWEN_CODER, Calls.MINIMAX, Calls.DSML),
    *(Calls.PYTHON, Calls.GEMMA, Calls.FUNCTION_GEMMA),
}


def written(writing, calls: list[tuple[str, dict[str, object]]]) -> str:
    def name(text: str) -> str:
        return json.dumps(text)[1:-1] if writing.quoted else text

    between = writing.between or ""
    texts = (
        f"{writing.before}{name(tool)}{writing.middle}{json.dumps(given)}{writing.after}"
        for tool, given in calls
    )
    return f"{writing.begin}{between.join(texts)}{writing.end}"


@pytest.mark.parametrize(("calls", "source"), SOURCES.values(), ids=SOURCES)
def test_what_a_model_is_made_to_write_is_read_as_calls(calls, source):
    writing = writing_of(calls, source)
    if calls in NO_JSON:
        assert writing is None
        return
    wanted = [("get_weather", {"city": "Lyon", "days": [1, {"a": None}]}), ("stop", {})]
    wanted = wanted if writing.between is not None else wanted[:1]
    for several in (wanted, wanted[:1]):
        parser = ReplyParser(Form(calls), tools=TOOLS)
        parts = [*parser.feed(written(writing, several)), *parser.end()]
        assert [(part.name, part.arguments) for part in parts] == several
        assert all(isinstance(part, ToolCall) for part in parts)


def test_whoever_writes_no_calls_has_no_way_of_writing_them():
    assert writing_of(None, "") is None
