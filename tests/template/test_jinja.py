import datetime
import json
import sys

import pytest
from template.conversations import CHAT, CHATML, TODAY, TOOL_CHAT, WEATHER

from modelpack import limits
from modelpack.errors import LimitError, MissingExtraError, TemplateError
from modelpack.template import sandbox
from modelpack.template.chat import ChatMessage
from modelpack.template.jinja import JinjaTemplate

pytest.importorskip("jinja2")


def _render(source, messages=CHAT, tools=(), *, today=TODAY, **options):
    return JinjaTemplate(source).render(messages, tools, today=today, **options)


def test_chatml_is_rendered_with_the_generation_prompt():
    assert _render(CHATML) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert _render(CHATML, add_generation_prompt=False).endswith("Bye<|im_end|>\n")


def test_tools_and_calls_keep_their_order_and_are_not_escaped():
    prompt = _render(CHATML, TOOL_CHAT, [WEATHER])
    assert json.dumps(WEATHER) in prompt
    assert '<tool_call>{"unit": "C", "city": "Köln"}</tool_call>' in prompt


@pytest.mark.parametrize(
    ("think", "ending"),
    [(None, "assistant\n"), (True, "assistant\n"), (False, "<think>\n\n</think>\n\n")],
)
def test_thinking_can_be_switched_off(think, ending):
    assert _render(CHATML, think=think).endswith(ending)


def test_a_level_of_thinking_is_the_reasoning_effort():
    assert _render("{{ reasoning_effort }} {{ enable_thinking }}", think="high") == "high True"
    assert _render("{{ reasoning_effort is defined }}") == "False"


def test_special_tokens_are_the_models():
    template = JinjaTemplate("{{ bos_token }}x{{ eos_token }}", bos_token="<s>", eos_token="</s>")
    assert template.render((), today=TODAY) == "<s>x</s>"


def test_messages_carry_what_they_have_and_nothing_else():
    source = "{% for m in messages %}{{ m | tojson }}\n{% endfor %}"
    lines = [json.loads(line) for line in _render(source, TOOL_CHAT).splitlines()]
    assert lines[0] == {"role": "user", "content": "Weather?"}
    assert lines[1]["reasoning_content"] == "look it up"
    assert lines[1]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert lines[2] == {"role": "tool", "content": "12", "name": "get_weather"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ ['<é>'] | tojson }}", '["<é>"]'),
        ("{{ ['é'] | tojson(ensure_ascii=true) }}", '["\\u00e9"]'),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", '{"a": 2, "b": 1}'),
        ("{{ [1, 2] | tojson(separators=(',', ':')) }}", "[1,2]"),
        ("{{ [1] | tojson(indent=1) }}", "[\n 1\n]"),
        ("{{ '<&>' }}", "<&>"),
        ("{{ strftime_now('%d %b %Y') }}", "01 Mar 2025"),
        ("  {% if true %}\nx\n  {% endif %}\n", "x\n"),
        ("{% generation %}a{% endgeneration %}", "a"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{{ tools is none }}{{ nothing is defined }}", "TrueFalse"),
        (
            "{{ 7 % 4 }} {{ 2 ** 10 }} {{ 'ab' * 2 }} {{ '%05d|%s' % (3, 'x') }}",
            "3 1024 abab 00003|x",
        ),
        ("{% set ns = namespace(n=0) %}{% set ns.n = 4 %}{{ ns.n }}", "4"),
    ],
)
def test_the_environment_is_the_one_templates_are_written_for(source, text):
    assert _render(source, ()) == text


def test_the_clock_may_tell_the_time_too():
    now = datetime.datetime(2025, 3, 1, 13, 45, tzinfo=datetime.UTC)
    assert _render("{{ strftime_now('%H:%M') }}", today=now) == "13:45"


def test_uses_looks_at_free_variables():
    template = JinjaTemplate("{% for tool in tools %}{{ tool }}{% endfor %}")
    assert template.uses("tools")
    assert template.uses("Tools")
    assert not template.uses("tool")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\n{{ raise_exception('roles must\nalternate') }}", "line 2: roles must alternate"),
        ("\n\n{{ messages[9].content }}", "line 3: list object has no element 9"),
        ("{{ 1 / 0 }}", "line 1: division by zero"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{% include 'x' %}", "no loader"),
    ],
)
def test_a_template_that_fails_says_where(source, message):
    with pytest.raises(TemplateError, match=message) as caught:
        _render(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% if %}", "line 2: Expected"),
        ("{{ x y }}", "line 1"),
        ("{{ " + "(" * 9999, "template"),
    ],
)
def test_a_template_that_does_not_parse_says_where(source, message):
    with pytest.raises(TemplateError, match=message):
        JinjaTemplate(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ strftime_now.__self__.year }}",
        "{% for i in range(10000000) %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * [1] }}",
        "{{ 10 ** 1000000 }}",
        "{{ (2 ** 64) ** 64 }}",
        "{{ '%1000000000d' % 1 }}",
    ],
)
def test_the_sandbox_holds(source):
    with pytest.raises(TemplateError):
        _render(source)


def test_output_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "TEXT_LAYER", 100)
    with pytest.raises(TemplateError, match="more than 100 characters"):
        _render("{{ messages[0].content }}", (ChatMessage(role="user", content="x" * 101),))


def test_source_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "TEXT_LAYER", 10)
    with pytest.raises(LimitError):
        JinjaTemplate("x" * 11)


def test_without_jinja_the_error_names_the_extra(monkeypatch):
    sandbox.environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match="'runtime' extra"):
        JinjaTemplate("x")
