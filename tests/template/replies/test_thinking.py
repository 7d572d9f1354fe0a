import pytest
from template.replies.recorded import NOW, THINK, halves, read, written_in

from modelpack.template.replies.detect import Calls, Form, form_of
from modelpack.template.replies.parser import ReplyParser
from modelpack.template.replies.parts import Text, Thinking

FORM = Form(thinking=THINK, prefills=True)
GRANITE = form_of("Here is my thought process: … Here is my response:", "jinja")
MISTRAL = form_of("[THINK]{{ thinking }}[/THINK]", "jinja")


def _check(reply, parts, form=FORM, **options):
    for pieces in ([reply], reply, *halves(reply)):
        assert read(pieces, form, **options) == parts


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        ("<think>Hm.</think>Yes.", [Thinking("Hm."), Text("Yes.")]),
        ("\n<think>\n\nHm. \n\nOh?\n</think>\n\nYes.\n", [Thinking("Hm. \n\nOh?"), Text("Yes.\n")]),
        ("<think>a < b </thin> c</think>Yes", [Thinking("a < b </thin> c"), Text("Yes")]),
        ("<think>\n\n</think>\n\nYes.", [Text("Yes.")]),
        ("<think></think>", []),
        ("<think>Hm. I", [Thinking("Hm. I")]),
        ("<think>Hm.\n", [Thinking("Hm.\n")]),
        ("<think>Hm.</thi", [Thinking("Hm.</thi")]),
        ("<think>", []),
        ("<thi", [Text("<thi")]),
        ("  <this>", [Text("  <this>")]),
        (" \n", [Text(" \n")]),
        ("Yes. <think>Hm.</think>", [Text("Yes. <think>Hm.</think>")]),
        ("<think>a</think>b<think>c</think>", [Thinking("a"), Text("b<think>c</think>")]),
        ("Yes.</think>", [Text("Yes.</think>")]),
    ],
)
def test_thinking_is_told_apart_at_the_beginning_of_a_reply(reply, parts):
    _check(reply, parts)
    _check(reply, parts, tools=())


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        ("Hm.\n</think>\n\nYes.", [Thinking("Hm."), Text("Yes.")]),
        ("\nHm.", [Thinking("Hm.")]),
        ("\n</think>Yes.", [Text("Yes.")]),
        ("<think>\nHm.</think>Yes.", [Thinking("Hm."), Text("Yes.")]),
        ("", []),
    ],
)
def test_thinking_may_begin_in_the_prompt(reply, parts):
    _check(reply, parts, prefilled=True)


@pytest.mark.parametrize("think", [None, True, "high", ""])
def test_thinking_is_told_apart_unless_it_is_switched_off(think):
    reply = "<think>Hm.</think>Yes."
    _check(reply, [Thinking("Hm."), Text("Yes.")], think=think)
    _check(reply, [Text(reply)], think=False)
    _check(reply, [Text(reply)], think=False, prefilled=True)
    _check(reply, [Text(reply)], Form(), think=think)


def test_thinking_comes_as_it_is_thought():
    parser = ReplyParser(FORM)
    assert parser.feed("<think>\n") == []
    assert parser.feed("One") == [Thinking("One")]
    assert parser.feed(" \n") == []
    assert parser.feed("two <") == [Thinking(" \ntwo")]
    assert parser.feed("/think") == []
    assert parser.feed(">\nYes") == [Text("Yes")]


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        (GRANITE, "Here is my thought process:\n\nHm.\n\nHere is my response:\n\nYes."),
        (GRANITE, "Here's my thought process: Hm. Here's my response: Yes."),
        (MISTRAL, "[THINK]Hm.[/THINK]Yes."),
        (form_of("<thinking></thinking>", "go"), "<thinking>\nHm.\n</thinking>\nYes."),
        (form_of("<seed:think>", "jinja"), "<seed:think>Hm.</seed:think>Yes."),
        (
            form_of("<|START_THINKING|>", "jinja"),
            "<|START_THINKING|>Hm.<|END_THINKING|>Yes.",
        ),
        (
            form_of("<|channel|><|message|>", "jinja"),
            (
                "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>"
                "Yes."
            ),
        ),
    ],
)
def test_every_way_to_think_is_known(form, reply):
    _check(reply, [Thinking("Hm."), Text("Yes.")], form)


def test_channels_are_told_apart_whatever_think_says():
    form = written_in(Calls.HARMONY)
    reply = "Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
    _check(reply, [Thinking("Hm."), Text("Yes.")], form, prefilled=True, think=False)
    _check("Hm.", [Thinking("Hm.")], form, prefilled=True)


def test_a_call_may_follow_the_thinking_and_one_in_it_is_thought():
    call = '<tool_call>{"name": "now"}</tool_call>'
    form = written_in(Calls.HERMES, thinking=THINK)
    _check(f"<think>Hm.</think>\n\n{call}\n", [Thinking("Hm."), NOW], form)
    _check(f"<think>{call}</think>\n{call}", [Thinking(call), NOW], form)
    _check(f"<think>{call}</think>{call}", [Text("<think>"), NOW, Text("</think>"), NOW], form,
           think=False)  # fmt: skip
