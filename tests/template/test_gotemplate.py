import datetime
import sys

import pytest
from template.conversations import CHAT, LLAMA_3, QWEN, TODAY, TOOL_CHAT, WEATHER

from modelpack import limits
from modelpack.errors import LimitError, MissingExtraError, TemplateError
from modelpack.template.chat import ChatMessage
from modelpack.template.gotemplate import GoTemplate

pytest.importorskip("gotpl")


def _render(source, messages=CHAT, tools=(), **options):
    return GoTemplate(source).render(messages, tools, today=TODAY, **options)


def _user(content):
    return ChatMessage(role="user", content=content)


def _header(role, text):
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}"


def test_an_older_template_is_rendered_for_each_exchange_and_cut_behind_the_response():
    assert _render(LLAMA_3) == (
        _header("system", "Be brief.<|eot_id|>")
        + _header("user", "Hi<|eot_id|>")
        + _header("assistant", "Hello!<|eot_id|>")
        + _header("user", "Bye<|eot_id|>")
        + _header("assistant", "")
    )


def test_an_answer_that_was_begun_is_continued():
    messages = (_user("Hi"), ChatMessage(role="assistant", content="Hel"))
    assert _render(LLAMA_3, messages).endswith(_header("assistant", "Hel"))


def test_the_response_is_appended_where_a_template_has_none():
    assert _render("{{ .System }} {{ .Prompt }} ") == "Be brief. Hi Hello! Bye "


def test_a_system_text_in_the_middle_begins_a_new_exchange():
    messages = (_user("a"), ChatMessage(role="system", content="s"), _user("b"))
    assert _render("[{{ .System }}|{{ .Prompt }}]", messages) == "[|a][s|b]"


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("{{ if .Prompt }}a{{ .Response }}b{{ else }}c{{ end }}d", "a"),
        ("{{ if not .Prompt }}c{{ else if .Prompt }}a{{ .Response }}b{{ end }}d", "a"),
        ("{{ if .Response }}x{{ end }}é{{ with .Prompt }}{{ $.Response }}b{{ end }}d", "é"),
        ("{{ if .Prompt }}{{ if .Prompt }}a{{ .Response -}} b{{ end }}c{{ end }}d", "a"),
        ('{{ template "x" . }}{{ .Response }}d{{ define "x" }}<{{ .Prompt }}>{{ end }}', "<q>"),
    ],
)
def test_the_cut_keeps_what_surrounds_the_response_whole(source, prompt):
    assert _render(source, (_user("q"),)) == prompt


def test_a_template_with_messages_sees_them_all_and_is_not_cut():
    assert _render(QWEN) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_tools_and_calls_print_as_go_writes_json():
    prompt = _render(QWEN, TOOL_CHAT, [WEATHER])
    assert (
        '{"type": "function", "function": {"name":"get_weather",'
        '"description":"Weather in \\u003ccity\\u003e \\u0026 around",'
        '"parameters":{"type":"object","required":["city"],"properties":{'
        '"city":{"type":"string","description":"Name"},'
        '"unit":{"type":["string","null"],"enum":["C","F"]}}}}}\n</tools>' in prompt
    )
    assert '{"name": "get_weather", "arguments": {"city":"Köln","unit":"C"}}\n' in prompt
    assert prompt.endswith(
        "<tool_response>12</tool_response><|im_end|>\n<|im_start|>user\n"
        "<tool_response>rain</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_neighbours_of_one_role_are_joined_and_all_system_texts_too():
    messages = (
        ChatMessage(role="system", content="s1"),
        _user("a"),
        _user("b"),
        ChatMessage(role="system", content="s2"),
    )
    source = "{{ .System }}{{ range .Messages }}[{{ .Role }} {{ .Content }}]{{ end }}"
    assert _render(source, messages) == "s1\n\ns2[system s1][user a\n\nb][system s2]"


def test_parameters_of_a_tool_can_be_walked_by_name():
    source = (
        "{{ range .Messages }}{{ end }}{{ range .Tools }}{{ .Function.Name }}("
        "{{ range $name, $p := .Function.Parameters.Properties }}{{ $name }}: "
        "{{ toTypeScriptType $p }} {{ $p.Description }}{{ $p.Enum }};{{ end }}){{ end }}"
    )
    expected = "get_weather(city: string Name[];unit: string | null [C F];)"
    assert _render(source, CHAT, [WEATHER]) == expected


def test_functions_write_json_and_tell_the_date():
    source = "{{ json .Messages }} {{ currentDate }} {{ yesterdayDate }}"
    expected = '[{"role":"user","content":"\\u003ca\\u003e"}] 2025-03-01 2025-02-28'
    assert _render(source, (_user("<a>"),)) == expected


def test_one_template_tells_the_date_of_each_rendering():
    template = GoTemplate("{{ .Messages }}{{ currentDate }}")
    dates = [template.render((), today=datetime.date(2025, 1, day)) for day in (1, 2)]
    assert dates == ["[]2025-01-01", "[]2025-01-02"]


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (None, "false false ."),
        (True, "true true ."),
        (False, "true false ."),
        ("high", "true true high."),
    ],
)
def test_think_tells_what_was_asked_for_and_whether(think, expected):
    source = (
        "{{ if .IsThinkSet }}true{{ else }}false{{ end }} "
        "{{ if .Think }}true{{ else }}false{{ end }} {{ .ThinkLevel }}.{{ .Response }}"
    )
    assert _render(source, (_user("a"),), think=think) == expected


def test_what_is_missing_prints_and_tests_as_in_go():
    source = "{{ .Nothing }}{{ if .Nothing }}yes{{ end }}{{ .Nothing.More }}{{ .Response }}"
    assert _render(source, (_user("a"),)) == "<no value><no value>"


def test_extra_variables_are_passed_on():
    assert _render("{{ .Messages }}{{ .Query }}", (), extra={"Query": True}) == "[]true"


def test_fill_renders_prompt_and_suffix():
    template = GoTemplate("<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ .Response }}")
    assert template.uses("Suffix")
    assert template.fill("a", "b", today=TODAY) == "<PRE>a<SUF>b<MID>"


def test_uses_finds_names_everywhere_and_in_any_case():
    template = GoTemplate(
        '{{ range $.Messages }}{{ end }}{{ define "x" }}{{ len .Tools }}{{ end }}'
    )
    assert template.uses("messages")
    assert template.uses("Tools")
    assert not template.uses("Suffix")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ if }}", "missing value"),
        ("a\n{{ nofunc .x }}", "template:2:4: function 'nofunc' not defined"),
        ("{{ range .Messages }}", "template:1"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nesting"),
    ],
)
def test_a_template_that_does_not_parse_is_refused_in_one_line(source, message):
    with pytest.raises(TemplateError, match=message) as caught:
        GoTemplate(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        '{{ template "none" }}',
        "{{ index .Messages 99 }}",
        "{{ range 100000000 }}{{ end }}",
        '{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}',
        "{{ .System.__class__ }}",
        "{{ if lt .System 1 }}{{ end }}",
    ],
)
def test_a_template_that_fails_or_runs_away_is_stopped(source):
    with pytest.raises(TemplateError):
        _render(source)


def test_output_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "TEXT_LAYER", 100)
    template = GoTemplate("{{ range .Messages }}{{ .Content }}{{ end }}")
    with pytest.raises(TemplateError, match="budget exceeded"):
        template.render((_user("x" * 101),), today=TODAY)


def test_source_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "TEXT_LAYER", 10)
    with pytest.raises(LimitError):
        GoTemplate("x" * 11)


def test_without_gotpl_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gotpl", None)
    with pytest.raises(MissingExtraError, match="'runtime' extra"):
        GoTemplate("{{ .Prompt }}")
