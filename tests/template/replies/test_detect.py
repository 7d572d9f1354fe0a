from pathlib import Path

import pytest
from template.conversations import CHAT, CHATML, LLAMA_3, QWEN, TODAY, TOOL_CHAT, WEATHER
from template.replies.recorded import read

from modelpack.template.chat import ToolCall
from modelpack.template.replies.detect import PLAIN, Calls, Form, form_of, prefilled
from modelpack.template.replies.parts import Text

BAR = "\N{FULLWIDTH VERTICAL LINE}"
TINY = Path(__file__).parents[3] / "Modelfile.examples" / "tiny" / "chat_template.jinja"
THINKER = (
    "{%- for message in messages %}{{ '<|' + message.role + '|>' + message.content }}"
    "{%- endfor %}{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}"
)


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("{{ '<|start|>assistant<|channel|>final<|message|>' }}{{ tools }}", Calls.HARMONY),
        (f"<{BAR}tool▁calls▁begin{BAR}><{BAR}tool▁call▁begin{BAR}>", Calls.DEEPSEEK),
        (f"{{% set token = '{BAR}DSML{BAR}' %}}<{{{{ token }}}}invoke name=", Calls.DSML),
        ("<minimax:tool_call><invoke name=><parameter name=>", Calls.MINIMAX),
        ("<|tool_calls_section_begin|><|tool_call_begin|>", Calls.KIMI),
        ("[AVAILABLE_TOOLS]{{ tools }}[TOOL_CALLS]", Calls.MISTRAL),
        ("<tool_call>{{ name }}<arg_key>{{ key }}</arg_key>", Calls.GLM),
        ("<tool_call>\n<function={{ name }}>\n<parameter={{ key }}>", Calls.QWEN_CODER),
        ("<seed:tool_call><function=f><parameter=x>", Calls.QWEN_CODER),
        (">>>all\n{{ content }}>>>{{ name }}", Calls.RECIPIENTS),
        ("<|python_tag|><function={{ name }}>{{ arguments }}</function>", Calls.FUNCTIONARY),
        ("<|tool_call|>{{ calls | tojson }}", Calls.GRANITE),
        ("<|START_ACTION|>[{{ call }}]<|END_ACTION|>", Calls.COMMAND_R),
        ("<TOOLCALL>[{{ call }}]</TOOLCALL>", Calls.NEMOTRON),
        ("<tool_calls>[{{ call }}]</tool_calls>", Calls.APRIEL),
        ("<tools>{{ tools }}</tools><tool_call>", Calls.HERMES),
        ("<tools>{{ tools }}</tools><tool_call>{}</tool_call> or <code>f()</code>", Calls.HERMES),
        ("{{ '<|tool_call>call:' + name + '{' }}<tool_call|>", Calls.GEMMA),
        ("<start_function_call>call:{{ name }}", Calls.FUNCTION_GEMMA),
        ("<|tool_call_start|>[{{ calls }}]<|tool_call_end|>", Calls.LFM),
        ("in the format of [func_name1(params_name1=params_value1)]", Calls.PYTHON),
        ('{{ tools }}{"name": "f", "parameters": {}}<|python_tag|>', Calls.LLAMA_3),
        ('{{ tools }}Answer {"name": …, "parameters": …}', Calls.JSON),
        ("{{ tools }}{{ messages }}", None),
        ("name, parameters", None),
        ("", None),
    ],
)
def test_a_template_shows_how_calls_are_written(source, calls):
    assert form_of(source, "jinja").calls is calls


def test_a_go_template_shows_it_too():
    assert form_of(QWEN, "go") == Form(Calls.HERMES)
    assert form_of(LLAMA_3, "go") == PLAIN
    generic = '{{ range .Tools }}{{ . }}{{ end }}{"name": function, "parameters": dictionary}'
    assert form_of(generic, "go") == Form(Calls.JSON)
    assert form_of(generic.replace(".Tools", ".Messages"), "go") == PLAIN


def test_where_nothing_is_known_all_is_text():
    reply = '<think>a</think><tool_call>{"name": "get_weather"}</tool_call>'
    assert read(reply, PLAIN) == [Text(reply)]
    assert not prefilled("<think>", PLAIN)


@pytest.mark.parametrize(
    ("source", "opens", "prefills"),
    [
        (THINKER, "<think>", True),
        ("{{ content.split('</think>')[-1] }}", "<think>", False),
        ("<thinking>{{ thinking }}</thinking>", "<thinking>", True),
        ("{{ '<|channel>thought\n<channel|>' }}", "<|channel>thought", True),
        ("[THINK]{{ thinking }}[/THINK]", "[THINK]", True),
        ("Here is my thought process: Here is my response:", "Here is my thought process:", True),
        ("{{ messages }}", None, False),
    ],
)
def test_a_template_shows_how_thinking_is_written(source, opens, prefills):
    form = form_of(source, "jinja")
    assert (form.thinking.opens[0] if form.thinking else None) == opens
    assert form.prefills is prefills


@pytest.mark.parametrize(
    ("source", "prompt", "inside"),
    [
        (THINKER, "<|user|>Hi<|assistant|><think>\n", True),
        (THINKER, "<|user|>Hi<|assistant|><think>", True),
        (THINKER, "<|user|>Hi<|assistant|><think>\n\n</think>\n\n", False),
        (THINKER, "<|user|>What is <think>?<|assistant|>", False),
        ("'</think>'", "<|assistant|><think>\n", False),
        ("<|channel|><|message|>", "<|start|>assistant", False),
        ("<|channel|><|message|>", "<|start|>assistant<|channel|>analysis<|message|>", True),
    ],
)
def test_a_prompt_that_ends_inside_thinking_is_seen(source, prompt, inside):
    assert prefilled(prompt, form_of(source, "jinja")) is inside


def test_rendered_prompts_are_seen():
    template = pytest.importorskip("modelpack.template.jinja").JinjaTemplate(THINKER)
    form = form_of(THINKER, "jinja")
    assert prefilled(template.render(CHAT, today=TODAY), form)
    assert not prefilled(template.render(CHAT, today=TODAY, think=False), form)


def test_the_tiny_model_of_the_examples_is_known():
    form = form_of(TINY.read_text(), "jinja")
    assert form == Form(Calls.HERMES)
    reply = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    call = ToolCall(name="get_weather", arguments={"city": "Oslo"})
    assert read(reply, form, tools=[WEATHER]) == [call]


@pytest.mark.parametrize("source", [TINY.read_text(), CHATML])
def test_what_a_template_writes_of_a_call_is_read_again(source):
    form = form_of(source, "jinja")
    assert form.calls is Calls.HERMES
    if source == CHATML:
        return
    jinja = pytest.importorskip("modelpack.template.jinja")
    prompt = jinja.JinjaTemplate(source).render(TOOL_CHAT, today=TODAY)
    reply = prompt.split("<|im_start|>assistant\n")[1].split("<|im_end|>")[0]
    assert read(reply, form, tools=[WEATHER]) == list(TOOL_CHAT[1].tool_calls)
