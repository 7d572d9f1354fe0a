from __future__ import annotations

import pytest
from engine.real import TINY, load_weights, require

from modelpack.engine.base import Grammar, Lead
from modelpack.engine.marks import expression

SCHEMA = """
{"type": "object", "properties": {"a": {"enum": [1, 2]}},
 "required": ["a"], "additionalProperties": false}
"""
TAGS = Lead(opens=("<think>",), closes=("</think>",))
TOKENS = Lead(opens=("<|im_start|>",), closes=("<|im_end|>",))


def test_names_of_control_tokens_are_those_tokens_and_all_else_is_text():
    assert expression('a <b> "c"\n', {"<b>": 5}) == r'"a " <[5]> " \"c\"\n"'
    assert expression("<bc><b>", {"<b>": 5, "<bc>": 6}) == "<[6]> <[5]>"
    assert expression("plain", {}) == '"plain"'
    assert expression("", {"<b>": 5}) == '""'


@pytest.fixture(scope="module")
def engine():
    require(TINY)
    with load_weights() as engine:
        yield engine


def fits(engine, grammar: Grammar, text: str) -> bool:
    """Tell whether *text* is a whole answer."""
    constraint = engine.constraints.constraint(grammar)
    for token in engine.vocabulary.tokenize(text, special=True):
        if not constraint.allowed()[token >> 3] >> (token & 7) & 1:
            return False
        constraint.accept(token)
    end = engine.vocabulary.tokenize("<|im_end|>", special=True)[0]
    return bool(constraint.allowed()[end >> 3] >> (end & 7) & 1)


GRAMMARS = [
    ("json_schema", SCHEMA, '{"a": 1}', '{"b": 1}'),
    ("regex", "a/b+", "a/bb", "a/c"),
    ("lark", 'start: x\nx: "{" /[0-9]+/ "}"', "{12}", "{x}"),
    ("gbnf", 'root ::= "yes" | "no"', "no", "maybe"),
    ("json", "", '{"x": []}', "[]"),
]


@pytest.mark.model
@pytest.mark.parametrize(("kind", "text", "good", "bad"), GRAMMARS, ids=[g[0] for g in GRAMMARS])
def test_thinking_is_free_and_the_grammar_begins_behind_it(engine, kind, text, good, bad):
    grammar = Grammar(kind, text, TAGS)
    assert fits(engine, grammar, good)
    assert fits(engine, grammar, f"<think>\nwhat {{ is\n\nthis? </th </think>\n\n{good}")
    assert fits(engine, grammar, f"<think></think>{good}")
    assert not fits(engine, grammar, bad)
    assert not fits(engine, grammar, f"<think>hm</think>{bad}")
    assert not fits(engine, grammar, f"<think>{good}")


@pytest.mark.model
def test_thinking_that_the_prompt_has_begun_must_end(engine):
    grammar = Grammar("json_schema", SCHEMA, Lead(**{**fields(TAGS), "begun": True}))
    assert fits(engine, grammar, 'hm</think>\n{"a": 1}')
    assert not fits(engine, grammar, '{"a": 1}')


@pytest.mark.model
def test_markers_that_are_tokens_are_only_those_tokens(engine):
    grammar = Grammar("json_schema", SCHEMA, TOKENS)
    assert fits(engine, grammar, '<|im_start|>hm<|im_end|>{"a": 1}')
    constraint = engine.constraints.constraint(grammar)
    (first, *_) = engine.vocabulary.tokenize("<|im_start|>", special=False)
    assert not constraint.allowed()[first >> 3] >> (first & 7) & 1


@pytest.mark.model
def test_channels_lead_to_an_answer_in_a_channel(engine):
    lead = Lead(opens=("<a>",), closes=("<end>",), then="<start>final:", instead="final:")
    grammar = Grammar("regex", "x+", lead)
    assert fits(engine, grammar, "<a>hm<end><start>final:xx")
    assert fits(engine, grammar, "final:xx")
    assert not fits(engine, grammar, "xx")
    assert not fits(engine, grammar, "<a>hm<end>xx")


def fields(lead: Lead) -> dict[str, object]:
    return {"opens": lead.opens, "closes": lead.closes}
