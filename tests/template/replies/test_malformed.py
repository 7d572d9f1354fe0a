"""What looks like a call and is none comes out as the text that it is."""

import pytest
from template.replies.recorded import NOW, OSLO, deepseek, halves, read, written_in

from modelpack.template.chat import ToolCall
from modelpack.template.replies.detect import Calls
from modelpack.template.replies.parts import Text, Thinking

_NOW = '{"name": "now", "arguments": {}}'

NO_CALLS = [
    (Calls.HERMES, "<tool_call>"),
    (Calls.HERMES, "<tool_call>\n</tool_call>"),
    (Calls.HERMES, "Use <tool_call> for that, or <function= perhaps."),
    (Calls.HERMES, '<tool_call>{"name": "now", "arguments": {}'),
    (Calls.HERMES, '<tool_call>{"name": "now", "arguments": {]}</tool_call>'),
    (Calls.HERMES, '<tool_call>{"name": "now", "arguments": [1]}</tool_call>'),
    (Calls.HERMES, '<tool_call>{"name": "now", "arguments": "no JSON"}</tool_call>'),
    (Calls.HERMES, '<tool_call>{"name": "now", "arguments": "[]"}</tool_call>'),
    (Calls.HERMES, '<tool_call>{"name": "", "arguments": {}}</tool_call>'),
    (Calls.HERMES, '<tool_call>{"name": 7, "arguments": {}}</tool_call>'),
    (Calls.HERMES, '<tool_call>{"arguments": {}}</tool_call>'),
    (Calls.HERMES, "<tool_call>{'name': 'now'}</tool_call>"),
    (Calls.HERMES, '<tool_call>{"name": "now",}</tool_call>'),
    (Calls.HERMES, "<tool_call>[]</tool_call>"),
    (Calls.HERMES, f"<tool_call>[{_NOW}, 1]</tool_call>"),
    (Calls.HERMES, '<tool_call>"now"</tool_call>'),
    (Calls.HERMES, f'<tool_call>{{"name": "{"n" * 257}"}}</tool_call>'),
    (Calls.QWEN_CODER, "<tool_call><function=now><parameter=x>1</function></tool_call>"),
    (Calls.QWEN_CODER, "<tool_call><function=now>text</function></tool_call>"),
    (Calls.QWEN_CODER, "<tool_call><function=now><parameter=x\n>1</parameter></function>"),
    (Calls.QWEN_CODER, "<function=now\n></function>"),
    (Calls.QWEN_CODER, "<function=></function>"),
    (Calls.QWEN_CODER, f"<function={'n' * 300}></function>"),
    (Calls.FUNCTIONARY, "<function=now>[1]</function>"),
    (Calls.LLAMA_3, '<|python_tag|>brave_search.call(query="x")'),
    (Calls.LLAMA_3, '{"name": "Bob", "age": 7}'),
    (Calls.LLAMA_3, '{"name": "other", "parameters": {}}'),
    (Calls.LLAMA_3, f"Like this: {_NOW}"),
    (Calls.JSON, '{"answer": 42}'),
    (Calls.JSON, '{"name": "now"}'),
    (Calls.JSON, "[1, 2, 3]"),
    (Calls.JSON, f'{{"name"{" " * 200}: "now"'),
    (Calls.JSON, f'[{" " * 200}{{"name": "now", "arguments": {{}}}}]'),
    (Calls.JSON, "{"),
    (Calls.JSON, '{"na'),
    (Calls.MISTRAL, "[TOOL_CALLS]"),
    (Calls.MISTRAL, "[TOOL_CALLS]now"),
    (Calls.MISTRAL, "[TOOL_CALLS]now[ARGS]text"),
    (Calls.MISTRAL, "[TOOL_CALLS]now[CALL_ID]1 {}"),
    (Calls.MISTRAL, "[TOOL_CALLS][]"),
    (Calls.GRANITE, "<|tool_call|>[now]"),
    (Calls.GLM, "<tool_call>I would call it.</tool_call>"),
    (Calls.GLM, "<tool_call>now<arg_key>x</arg_key></tool_call>"),
    (Calls.GLM, "<tool_call>now<arg_key>x</arg_key><arg_value>1"),
    (
        Calls.GLM,
        f"<tool_call>now<arg_key>{'x' * 300}</arg_key><arg_value>1</arg_value></tool_call>",
    ),
    (Calls.DEEPSEEK, deepseek("<tool▁calls▁begin>now<tool▁calls▁end>")),
    (Calls.DEEPSEEK, deepseek("<tool▁call▁begin>now<tool▁sep>text<tool▁call▁end>")),
    (Calls.DEEPSEEK, deepseek("<tool▁call▁begin>now {}<tool▁call▁end>")),
    (Calls.DEEPSEEK, deepseek("<tool▁call▁begin>function<tool▁sep>now")),
    (Calls.MINIMAX, "<minimax:tool_call>now</minimax:tool_call>"),
    (Calls.MINIMAX, '<invoke name="now"\n></invoke>'),
    (Calls.MINIMAX, '<invoke name="now">text</invoke>'),
    (Calls.MINIMAX, '<invoke name=""></invoke>'),
    (Calls.MINIMAX, '<invoke name="now"><parameter name="x"\n>1</parameter></invoke>'),
    (Calls.MINIMAX, '<invoke name="now"><parameter name="x">1</invoke>'),
    (Calls.KIMI, "<|tool_call_begin|>now:0<|tool_call_end|>"),
    (Calls.RECIPIENTS, ">>> 1 + 1\n2"),
    (Calls.RECIPIENTS, "now"),
    (Calls.RECIPIENTS, "now\ntext"),
    (Calls.RECIPIENTS, "other\n{}"),
    (Calls.HARMONY, "<|channel|>commentary to=functions.now"),
    (Calls.HARMONY, "<|channel|>commentary to=functions.now<|message|>text<|call|>"),
    (Calls.HARMONY, "<|channel|>commentary to=functions.now<|message|>[1]"),
    (Calls.HARMONY, "<|channel|>commentary to=python<|message|>{}"),
    (Calls.HARMONY, f"<|channel|>{'x' * 2000}<|message|>text"),
]


@pytest.mark.parametrize(("calls", "reply"), NO_CALLS)
def test_no_call_is_text(calls, reply):
    form = written_in(calls)
    for pieces in ([reply], reply, *(halves(reply) if len(reply) < 200 else ())):
        assert read(pieces, form) == [Text(reply)]


@pytest.mark.parametrize(
    ("calls", "reply", "parts"),
    [
        (Calls.HERMES, f"<tool_call>no<tool_call>{_NOW}</tool_call>", [Text("<tool_call>no"), NOW]),
        (
            Calls.HERMES,
            f"<tool_call>{_NOW}</tool_call><tool_call>{{x}}</tool_call>",
            [NOW, Text("<tool_call>{x}</tool_call>")],
        ),
        (Calls.HERMES, f"<tool_call>{_NOW}, and", [NOW, Text(", and")]),
        (Calls.HERMES, f"<tool_call>{_NOW}</tool_", [NOW, Text("</tool_")]),
        (
            Calls.QWEN_CODER,
            "<tool_call><function=get_weather><parameter=city>Oslo</parameter></function>!",
            [OSLO, Text("!")],
        ),
        (Calls.JSON, f"{_NOW};{{}}", [NOW, Text(";{}")]),
        (
            Calls.DEEPSEEK,
            deepseek("<tool▁call▁begin>now<tool▁sep>{}<tool▁call▁end><tool▁call▁begin>now"),
            [NOW, Text(deepseek("<tool▁call▁begin>now"))],
        ),
        (Calls.MISTRAL, f"[TOOL_CALLS][1][TOOL_CALLS][{_NOW}]", [Text("[TOOL_CALLS][1]"), NOW]),
        (
            Calls.HARMONY,
            (
                "<|channel|>commentary to=functions.now<|message|>text<|start|>assistant"
                "<|channel|>analysis<|message|>Oh."
            ),
            [Text("<|channel|>commentary to=functions.now<|message|>text"), Thinking("Oh.")],
        ),
        (
            Calls.HARMONY,
            "Hi<|end|> there<|channel|>commentary to=functions.now<|message|>{}<|call|>",
            [Text("Hi there"), NOW],
        ),
    ],
)
def test_what_is_no_call_hides_no_other(calls, reply, parts):
    for pieces in ([reply], reply, *halves(reply)):
        assert read(pieces, written_in(calls)) == parts


def test_whitespace_between_calls_is_nobodys():
    reply = f" \n<tool_call>{_NOW}</tool_call>\n \n<tool_call>{_NOW}</tool_call>\n\n"
    assert read(reply, written_in(Calls.HERMES)) == [NOW, NOW]


def test_an_identifier_need_not_be_text():
    reply = '<tool_call>{"id": 7, "name": " now ", "arguments": null}</tool_call>'
    assert read(reply, written_in(Calls.HERMES)) == [ToolCall(name="now", arguments={})]
