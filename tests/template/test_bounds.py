"""Templates that would take all memory or all time: one error, soon."""

import time
import tracemalloc

import pytest
from template.conversations import CHAT, TODAY

from modelpack import limits
from modelpack.errors import TemplateError
from modelpack.template import allowance
from modelpack.template.chat import ChatMessage
from modelpack.template.gotemplate import GoTemplate
from modelpack.template.jinja import JinjaTemplate

pytest.importorskip("jinja2")
pytest.importorskip("gotpl")

MOST = 2.5 * allowance.BYTES
"""What is made may be made of as much again, while it is not yet there."""


def doubling(how: str, start: str = "'aaaaaaaa'") -> str:
    step = "{% for i in range(60) %}{% set ns.x = " + how + " %}{% endfor %}x"
    return "{% set ns = namespace(x=" + start + ") %}" + step


LARGE = {
    "concat": doubling("ns.x ~ ns.x"),
    "plus": doubling("ns.x + ns.x"),
    "list plus": doubling("ns.x + ns.x", "[1]"),
    "block": "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}"
    "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}x",
    "macro": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}aaaaaaaa"
    "{% endmacro %}{% set x = f(60) %}",
    "loop in a block": "{% set x %}{% for i in range(90000) %}"
    + "a" * 2000 + "{% endfor %}{% endset %}",
    "kept slices": "{% set ns = namespace(x=[]) %}{% set a = 'a' * 1000000 %}"
    "{% for i in range(1000) %}{% set ns.x = ns.x + [a[1:]] %}{% endfor %}x",
    "nested lists": doubling("[ns.x, ns.x]", "[1]") + "{{ ns.x }}",
    "nested lists as JSON": doubling("[ns.x, ns.x]", "[1]") + "{{ ns.x | tojson }}",
    "nested maps": doubling("{'a': ns.x, 'b': ns.x}", "{}") + "{{ ns.x | string }}",
    "repeated list": "{% set x = ['a' * 1000000] * 1000000 %}{{ x | join }}",
    "repeated list printed": "{% set x = [['a'] * 1000000] * 1000000 %}{{ x }}",
    "int": doubling("ns.x * ns.x", "2"),
    "power": "{{ 2 ** 10000000000 }}",
    "product": "{{ 'a' * 500000000 }}",
    "percent": "{{ '%500000000d' % 1 }}",
    "percent key": "{{ '%(a)500000000d' % {'a': 1} }}",
    "percent repeated": "{{ ('%(a)s' * 1000) % {'a': 'x' * 1000000} }}",
    "format": "{{ '{:500000000}'.format(1) }}",
    "format inner": "{{ '{:{w}}'.format(1, w=500000000) }}",
    "format repeated": "{{ ('{0}' * 1000).format('x' * 1000000) }}",
    "ljust": "{{ 'a'.ljust(500000000) | length }}",
    "rjust": "{{ 'a'.rjust(500000000) | length }}",
    "center": "{{ 'a'.center(500000000) | length }}",
    "zfill": "{{ '1'.zfill(500000000) | length }}",
    "expandtabs": "{{ '\\t'.expandtabs(500000000) | length }}",
    "replace": "{{ ('a' * 1000000).replace('a', 'b' * 1000) | length }}",
    "join": "{{ ('a' * 1000000).join(['b'] * 1000) | length }}",
    "to_bytes": "{{ (1).to_bytes(500000000, 'big') | length }}",
    "translate": "{{ ('a' * 1000000).translate({97: 'b' * 1000}) | length }}",
    "center filter": "{{ 'a' | center(500000000) | length }}",
    "indent filter": "{{ 'a\\nb' | indent(500000000) | length }}",
    "format filter": "{{ '%500000000d' | format(1) | length }}",
    "tojson filter": "{{ {'a': 1} | tojson(indent=500000000) | length }}",
    "replace filter": "{{ ('a' * 1000000) | replace('a', 'b' * 1000) | length }}",
    "join filter": "{{ (('a' * 1000000,) * 1000) | join | length }}",
    "slice filter": "{{ [1] | slice(20000000) | list | length }}",
    "batch filter": "{{ [1] | batch(50000000, 'x') | list | length }}",
    "wordwrap filter": "{{ ('a ' * 1000000) | wordwrap(1, wrapstring='b' * 1000) | length }}",
    "wordcount filter": "{{ ('a ' * 8000000) | wordcount }}",
    "round filter": "{{ 1 | round(500000000, 'ceil') }}",
    "round filter down": "{{ 1 | round(-500000000) }}",
    "sum filter": "{{ [[1]] | sum(start=[]) }}",
    "filters by name": "{{ ['a'] * 1000 | map('center', 1000000) | list | length }}",
    "large characters": "{% set x = '\U0001f600' * 15000000 %}{% set y = x + x %}",
}  # fmt: skip


@pytest.mark.parametrize("source", LARGE.values(), ids=LARGE.keys())
def test_what_would_be_huge_is_refused_before_it_is_made(monkeypatch, source):
    monkeypatch.setattr(allowance, "SECONDS", 1.0)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match="template, line 1: ") as caught:
            JinjaTemplate(source).render(CHAT, today=TODAY)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "'a' | center(500000000)",
        "'a\nb' | indent(500000000)",
        "'%500000000d' | format(1)",
        "{'a': 1} | tojson(indent=500000000)",
        "[1] | slice(20000000) | list",
        "'a' * 500000000",
        "('a' * 9000000) ~ ('b' * 9000000)",
        "'a'.ljust(500000000)",
    ],
)
def test_nothing_is_computed_when_a_template_is_parsed(expression):
    tracemalloc.start()
    try:
        template = JinjaTemplate(f"{{% if false %}}{{{{ {expression} }}}}{{% endif %}}x")
        assert tracemalloc.get_traced_memory()[1] < limits.MiB
    finally:
        tracemalloc.stop()
    assert template.render(CHAT, today=TODAY) == "x"


LONG = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "filtered loops": "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}"
    "{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{% set x = f(n - 1) or f(n - 1) %}{% endif %}"
    "{% endmacro %}{{ f(90) }}",
    "filters": "{% for a in range(99999) %}{% set x = range(99999) | select | list %}{% endfor %}",
    "calls": "{% set x = 'a' * 1000000 %}{% for a in range(99999) %}{% set y = x.count('b') %}"
    "{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("source", LONG.values(), ids=LONG.keys())
def test_what_would_never_end_is_broken_off(monkeypatch, source):
    monkeypatch.setattr(allowance, "SECONDS", 0.2)
    began = time.thread_time()
    with pytest.raises(TemplateError, match=r"it takes longer than 0\.2 s|makes more than"):
        JinjaTemplate(source).render(CHAT, today=TODAY)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 'a' ~ 1 ~ ['b'] ~ none ~ nothing }}", "a1['b']None"),
        ("{{ 'a' + 'b' + 'c' }} {{ 1 + 2 + 3 }} {{ [1] + [2] }}", "abc 6 [1, 2]"),
        ("{{ 'ab' | center(6) }}|{{ 'a\nb' | indent(2) }}|{{ '%s-%s' | format(1, 2) }}",
         "  ab  |a\n  b|1-2"),
        ("{{ [1, 2, 3] | slice(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }}",
         "[[1, 2], [3]] [[1, 2], [3, 0]]"),
        ("{{ '{:>4}|{a}'.format(1, a=2) }} {{ '%(a)5.1f' % {'a': 2} }}", "   1|2   2.0"),
        ("{{ 'a,b'.split(',') }} {{ 'aXbX'.replace('X', '--', 1) }} {{ '-'.join(['a', 'b']) }}",
         "['a', 'b'] a--bX a-b"),
        ("{{ 'a b'.split(maxsplit=1) }} {{ 1.25 | round(1) }} {{ 'a b' | wordcount }}",
         "['a', 'b'] 1.2 2"),
        ("{{ 'a\nb'.splitlines(keepends=true) | length }}", "2"),
        ("{{ range(5) | select('odd') | map('string') | join(', ') }}", "1, 3"),
        ("{% for i in range(9) if i is odd %}{{ loop.length }}{{ i }}{% endfor %}", "41434547"),
        ("{% macro f(x) %}<{{ x }}>{{ caller() }}{% endmacro %}{% call f(1) %}y{% endcall %}",
         "<1>y"),
        ("{% set x %}a{{ 1 + 1 }}{% endset %}{{ x[::-1] }}{% filter upper %}b{% endfilter %}",
         "2aB"),
        ("{% for i in [[1, [2]], 3] recursive %}{{ loop(i) if i is sequence else i }}{% endfor %}",
         "123"),
        ("{{ (1, 'a')[0:1] }} {{ {'a': [1]}['a'] }} {{ [x, y] | length }} {{ namespace(a=1).a }}",
         "(1,) [1] 2 1"),
        ("{{ [3, 1] | sort }} {{ [1, 2] | sum }} {{ ['b', 'a'] | max }} {{ '12' | int + 1 }}",
         "[1, 3] 3 b 13"),
        ("{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}", "a2b1"),
    ],
)  # fmt: skip
def test_what_is_counted_stays_what_it_is(source, text):
    assert JinjaTemplate(source).render(CHAT, today=TODAY) == text


def chained(step: str, count: int = 60) -> str:
    """Templates that each say the next one twice."""
    inner = "".join(f'{{{{ define "x{i}" }}}}{step.replace("X", f"x{i + 1}")}{{{{ end }}}}'
                    for i in range(count))  # fmt: skip
    return f'{inner}{{{{ define "x{count}" }}}}{{{{ end }}}}{{{{ template "x0" . }}}}'


GO = {
    "doubling": '{{ $x := "aaaaaaaa" }}{{ range $i := 60 }}'
    '{{ $x = printf "%s%s" $x $x }}{{ end }}x',
    "print": '{{ $x := "aaaaaaaa" }}{{ range $i := 60 }}{{ $x = print $x $x }}{{ end }}x',
    "width": '{{ printf "%1000000000d" 1 }}',
    "precision": '{{ printf "%.1000000000f" 1.5 }}',
    "starred width": '{{ printf "%*d" 1000000000 1 }}',
    "many arguments": '{{ $x := printf "%9999s" "a" }}{{ $y := print '
    + "$x " * 9999 + "}}{{ $z := print " + "$y " * 999 + "}}",
    "json of a text": "{{ range $i := 1000000 }}{{ $y := json $.Prompt }}{{ end }}x",
    "length": "{{ range $i := 1000000 }}{{ $y := len $.Prompt }}{{ end }}x",
    "calls": "{{ range $i := 1000000 }}{{ $y := print }}{{ end }}x",
    "templates": chained('{{ template "X" . }}{{ template "X" . }}'),
    "loops": "{{ range $i := 900000 }}" + "{{ if true }}{{ end }}" * 500 + "{{ end }}",
}  # fmt: skip


@pytest.mark.parametrize("source", GO.values(), ids=GO.keys())
def test_a_go_template_that_makes_too_much_or_never_ends_is_broken_off(monkeypatch, source):
    monkeypatch.setattr(allowance, "SECONDS", 0.5)
    template = GoTemplate(source)
    prompt = ChatMessage(role="user", content="y" * 1_000_000)
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(TemplateError, match=r"too wide|makes more|takes longer") as caught:
            template.render((prompt,), today=TODAY)
        assert tracemalloc.get_traced_memory()[1] < MOST
        assert time.thread_time() - began < 5
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_a_go_template_fails_as_a_template_whatever_fails():
    deep: dict[str, object] = {}
    for _ in range(600):
        deep = {"properties": {"x": deep}}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    with pytest.raises(TemplateError, match="template failed: RecursionError"):
        GoTemplate("{{ .Tools }}{{ .Messages }}").render(CHAT, [tool], today=TODAY)


def test_functions_of_go_are_what_they_were():
    source = (
        '{{ printf "%-5s|%03d|%.1f" "ab" 7 1.25 }} {{ print 1 2 "x" }} {{ len .System }} '
        '{{ slice "abc" 1 2 }} {{ html "<" }} {{ index .Messages 0 | json | len }} '
        '{{ and true (or false (eq 1 1)) }} {{ not false }} {{ js "<" }} {{ urlquery "a b" }}'
    )
    said = GoTemplate(source).render((ChatMessage(role="user", content="é"),), today=TODAY)
    assert said == r"ab   |007|1.2 1 2x 0 b &lt; 30 True True \u003C a+b"


def test_a_long_conversation_is_rendered():
    source = (
        "{% for m in messages %}{{ '<' + m.role + '>' + m.content.strip() + '\n' }}"
        "{% set last = messages | selectattr('role', 'equalto', 'user') | list | last %}"
        "{% endfor %}"
    )
    messages = [ChatMessage(role="user", content="x" * 5000) for _ in range(500)]
    assert len(JinjaTemplate(source).render(messages, today=TODAY)) > 500 * 5000
    one = (ChatMessage(role="user", content="x" * 15_000_000),)
    assert len(JinjaTemplate(source).render(one, today=TODAY)) > 15_000_000
