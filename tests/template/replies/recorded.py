"""Replies as models write them, with what they say; and ways to feed them."""

import itertools
import re

from modelpack.template.chat import ToolCall
from modelpack.template.replies.detect import Calls, Form
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.parts import Text, Thinking
from modelpack.template.replies.thought import Tags

TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "units": {"type": "array"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}},
)
THINK = Tags(("<think>",), ("</think>",))

COLOGNE = ToolCall(name="get_weather", arguments={"city": "Köln", "days": 2})
OSLO = ToolCall(name="get_weather", arguments={"city": "Oslo"})
NOW = ToolCall(name="now", arguments={})

_COLOGNE = '{"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}'
_OSLO = '{"name": "get_weather", "parameters": {"city": "Oslo"}}'
_BAR = "\N{FULLWIDTH VERTICAL LINE}"


def deepseek(text):
    """Return *text* with the tokens of DeepSeek for `<…>`."""
    return text.replace("<", f"<{_BAR}").replace(">", f"{_BAR}>")


def dsml(text):
    """Return *text* with the newer token of DeepSeek in each tag."""
    token = f"{_BAR}DSML{_BAR}"
    return re.sub("</?", lambda found: found[0] + token, text)


RECORDED = {
    "hermes": (
        Calls.HERMES,
        f"<tool_call>\n{_COLOGNE}\n</tool_call>\n<tool_call>\n{_OSLO}\n</tool_call>",
        [COLOGNE, OSLO],
    ),
    "hermes, several in one tag": (
        Calls.HERMES,
        f"Let me look.\n<tool_call>\n{_COLOGNE}\n{_OSLO}\n</tool_call>\n",
        [Text("Let me look.\n"), COLOGNE, OSLO],
    ),
    "hermes, text between and after": (
        Calls.HERMES,
        f"A<tool_call>{_COLOGNE}</tool_call> B <tool_call>{_OSLO}</tool_call>\nC < D",
        [Text("A"), COLOGNE, Text(" B "), OSLO, Text("\nC < D")],
    ),
    "hermes, never closed": (Calls.HERMES, f"<tool_call>{_COLOGNE}", [COLOGNE]),
    "hermes, arguments in a string": (
        Calls.HERMES,
        '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}</tool_call>',
        [OSLO],
    ),
    "hermes, as in OpenAI's API": (
        Calls.HERMES,
        (
            '<tool_call>{"id": "c1", "type": "function", "function": {"name": "now", '
            '"arguments": ""}}</tool_call>'
        ),
        [ToolCall(name="now", arguments={}, id="c1")],
    ),
    "hermes, nothing to say": (Calls.HERMES, '<tool_call>{"name": "now"}</tool_call>', [NOW]),
    "qwen coder": (
        Calls.QWEN_CODER,
        (
            "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nKöln\n</parameter>\n"
            "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n"
            "<function=now>\n</function>\n</tool_call>"
        ),
        [Text("I look.\n\n"), COLOGNE, NOW],
    ),
    "qwen coder, first tag forgotten": (
        Calls.QWEN_CODER,
        "<function=get_weather><parameter=city>Oslo</parameter></function></tool_call> Done",
        [OSLO, Text(" Done")],
    ),
    "seed": (
        Calls.QWEN_CODER,
        (
            "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Oslo</parameter>\n</function>\n"
            "<function=now></function>\n</seed:tool_call>"
        ),
        [OSLO, NOW],
    ),
    "functionary 3.1": (
        Calls.FUNCTIONARY,
        '<function=get_weather>{"city": "Oslo"}</function><function=now>{}</function>',
        [OSLO, NOW],
    ),
    "functionary 3.2": (
        Calls.RECIPIENTS,
        'all\nI look >> there.>>>get_weather\n{"city": "Oslo"}>>>now\n{}\n>>>all\nDone.',
        [Text("I look >> there."), OSLO, NOW, Text("\nDone.")],
    ),
    "functionary 3.2, at once": (Calls.RECIPIENTS, 'get_weather\n{"city": "Oslo"}', [OSLO]),
    "llama 3, tag": (Calls.LLAMA_3, f"<|python_tag|>{_COLOGNE}; {_OSLO}", [COLOGNE, OSLO]),
    "llama 3, bare": (Calls.LLAMA_3, f"{_OSLO};{_COLOGNE}\n", [OSLO, COLOGNE]),
    "llama 3, type first": (
        Calls.LLAMA_3,
        '\n{"type": "function", "name": "get_weather", "parameters": {"city": "Oslo"}}',
        [OSLO],
    ),
    "json, a list": (Calls.JSON, f"[{_OSLO}, {_COLOGNE}]", [OSLO, COLOGNE]),
    "json, and text": (Calls.JSON, f" {_OSLO}\nDone {{}}", [OSLO, Text("\nDone {}")]),
    "mistral, a list": (
        Calls.MISTRAL,
        f"Well. [TOOL_CALLS] [{_COLOGNE}, {_OSLO}]",
        [Text("Well. "), COLOGNE, OSLO],
    ),
    "mistral, named": (
        Calls.MISTRAL,
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]now[ARGS]{}',
        [OSLO, NOW],
    ),
    "mistral, identified": (
        Calls.MISTRAL,
        '[TOOL_CALLS]get_weather[CALL_ID]a1B2c3D4e[ARGS]{"city": "Oslo"}',
        [ToolCall(name="get_weather", arguments={"city": "Oslo"}, id="a1B2c3D4e")],
    ),
    "granite": (Calls.GRANITE, f"<|tool_call|>[{_COLOGNE}, {_OSLO}]", [COLOGNE, OSLO]),
    "phi": (Calls.GRANITE, f"<|tool_call|>[{_OSLO}]<|/tool_call|>", [OSLO]),
    "granite, plain tag": (Calls.HERMES, f"<tool_call>[{_OSLO}]", [OSLO]),
    "nemotron": (Calls.NEMOTRON, f"<TOOLCALL>[{_OSLO}]</TOOLCALL>", [OSLO]),
    "apriel": (Calls.APRIEL, f"<tool_calls>[{_OSLO}]</tool_calls>\n", [OSLO]),
    "command r": (
        Calls.COMMAND_R,
        (
            '<|START_ACTION|>[\n  {"tool_call_id": "0", "tool_name": "get_weather", "parameters": '
            '{"city": "Oslo"}}\n]<|END_ACTION|>'
        ),
        [ToolCall(name="get_weather", arguments={"city": "Oslo"}, id="0")],
    ),
    "deepseek r1": (
        Calls.DEEPSEEK,
        deepseek(
            "Hm.<tool▁calls▁begin><tool▁call▁begin>function<tool▁sep>get_weather\n```json\n"
            '{"city": "Oslo"}\n```<tool▁call▁end>\n<tool▁call▁begin>function<tool▁sep>now\n'
            "```json\n{}\n```<tool▁call▁end><tool▁calls▁end>"
        ),
        [Text("Hm."), OSLO, NOW],
    ),
    "deepseek v3.1": (
        Calls.DEEPSEEK,
        deepseek(
            '<tool▁calls▁begin><tool▁call▁begin>get_weather<tool▁sep>{"city": "Oslo"}'
            "<tool▁call▁end><tool▁call▁begin>now<tool▁sep>{}<tool▁call▁end><tool▁calls▁end>"
        ),
        [OSLO, NOW],
    ),
    "deepseek, no section": (
        Calls.DEEPSEEK,
        deepseek('<tool▁call▁begin>get_weather<tool▁sep>{"city": "Oslo"}<tool▁call▁end> Done'),
        [OSLO, Text(" Done")],
    ),
    "kimi": (
        Calls.KIMI,
        (
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
            '<|tool_call_argument_begin|>{"city": "Oslo"}<|tool_call_end|>'
            "<|tool_calls_section_end|>"
        ),
        [ToolCall(name="get_weather", arguments={"city": "Oslo"}, id="functions.get_weather:0")],
    ),
    "glm": (
        Calls.GLM,
        (
            "I look.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n"
            "<arg_value>Köln</arg_value>\n"
            "<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>\n<tool_call>now\n"
            "</tool_call>"
        ),
        [Text("I look.\n"), COLOGNE, NOW],
    ),
    "glm, in one line": (
        Calls.GLM,
        "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></tool_call>.",
        [OSLO, Text(".")],
    ),
    "lfm 2, like Python": (
        Calls.LFM,
        (
            "I look.<|tool_call_start|>[get_weather(city='Köln', days=2), now()]<|tool_call_end|>"
            "Done"
        ),
        [Text("I look."), COLOGNE, NOW, Text("Done")],
    ),
    "lfm 2, JSON": (
        Calls.LFM,
        f"<|tool_call_start|>[{_OSLO}]<|tool_call_end|>",
        [OSLO],
    ),
    "lfm 2, all that Python has": (
        Calls.LFM,
        (
            '<|tool_call_start|>[get_weather(city="Oslo", days=-2, units=["a", (1.5, None)], '
            "other={'b': true, 'c': False})]<|tool_call_end|>"
        ),
        [
            ToolCall(
                name="get_weather",
                arguments={
                    "city": "Oslo",
                    "days": -2,
                    "units": ["a", [1.5, None]],
                    "other": {"b": True, "c": False},
                },
            )
        ],
    ),
    "llama 4": (Calls.PYTHON, ' [get_weather(city="Oslo"), now()]', [OSLO, NOW]),
    "llama 4, text": (Calls.PYTHON, "[link(a)] and f(x)", [Text("[link(a)] and f(x)")]),
    "gemma 4": (
        Calls.GEMMA,
        (
            'I look.<|tool_call>call:get_weather{city:<|"|>Köln<|"|>,days:2}<tool_call|>'
            "<|tool_call>call:now{}<tool_call|>"
        ),
        [Text("I look."), COLOGNE, NOW],
    ),
    "gemma 4, all that JSON has": (
        Calls.GEMMA,
        (
            '<|tool_call>call:get_weather{city:<|"|>a{b:"c",}<|"|>,'
            'units:[<|"|>x<|"|>,{y z:true}]}<tool_call|>'
        ),
        [
            ToolCall(
                name="get_weather",
                arguments={"city": 'a{b:"c",}', "units": ["x", {"y z": True}]},
            )
        ],
    ),
    "function gemma": (
        Calls.FUNCTION_GEMMA,
        (
            "<start_function_call>call:get_weather{city:<escape>Oslo<escape>}<end_function_call>"
            "<start_function_call>call:now{}<end_function_call>"
        ),
        [OSLO, NOW],
    ),
    "minimax": (
        Calls.MINIMAX,
        (
            'I look.\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Köln'
            '</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n<invoke name="now">\n'
            "</invoke>\n</minimax:tool_call>"
        ),
        [Text("I look.\n"), COLOGNE, NOW],
    ),
    "minimax, nothing around": (
        Calls.MINIMAX,
        "<invoke name='get_weather'><parameter name='city'>Oslo</parameter></invoke> Done",
        [OSLO, Text(" Done")],
    ),
    "deepseek v3.2": (
        Calls.DSML,
        dsml(
            '<function_calls>\n<invoke name="get_weather">\n<parameter name="city" string="true">'
            'Köln</parameter>\n<parameter name="days" string="false">2</parameter>\n</invoke>\n'
            "</function_calls>"
        ),
        [COLOGNE],
    ),
    "deepseek v3.2, a string whatever the schema says": (
        Calls.DSML,
        dsml(
            '<invoke name="get_weather"><parameter name="days" string="true">2</parameter></invoke>'
        ),
        [ToolCall(name="get_weather", arguments={"days": "2"})],
    ),
    "deepseek v4": (
        Calls.DSML,
        dsml(
            '<tool_calls><invoke name="now"><parameter name="a" string="false">{"b": [1]}'
            '</parameter><parameter name="c" string="false">[</parameter></invoke></tool_calls>'
        ),
        [ToolCall(name="now", arguments={"a": {"b": [1]}, "c": "["})],
    ),
    "harmony": (
        Calls.HARMONY,
        (
            "<|channel|>analysis<|message|>Weather < wanted.<|end|><|start|>assistant<|channel|>"
            "commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary "
            'to=functions.get_weather <|constrain|>json<|message|>{"city": "Oslo"}<|call|>'
        ),
        [Thinking("Weather < wanted."), Text("I look."), OSLO],
    ),
    "harmony, recipient first": (
        Calls.HARMONY,
        ' to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Oslo"}',
        [OSLO],
    ),
    "harmony, answer": (
        Calls.HARMONY,
        (
            "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>"
            "It is 12\u00b0.<|return|>"
        ),
        [Thinking("Easy."), Text("It is 12\u00b0.")],
    ),
    "harmony, several": (
        Calls.HARMONY,
        (
            "<|channel|>commentary to=functions.now<|message|><|call|><|start|>assistant<|channel|>"
            'commentary to=get_weather<|message|>{"city": "Oslo"}<|start|>assistant<|channel|>final'
            "<|message|>Done"
        ),
        [NOW, OSLO, Text("Done")],
    ),
}
"""By name: the form, the reply, and its parts."""


def read(pieces, form, *, tools=TOOLS, **options):
    """Return the parts of the reply that comes in *pieces*, neighbours of one kind in one."""
    parser = ReplyParser(form, tools=tools, **options)
    parts = [part for piece in pieces for part in parser.feed(piece)] + parser.end()
    joined = []
    for kind, run in itertools.groupby(parts, type):
        items = list(run)
        joined += items if kind is ToolCall else [kind("".join(part.text for part in items))]
    return joined


def halves(text):
    """Yield every way to cut *text* in two."""
    return ((text[:at], text[at:]) for at in range(len(text) + 1))


def written_in(calls, *, thinking=None, prefills=False):
    """Return the form with *calls*."""
    return Form(calls, thinking, prefills)
