from __future__ import annotations

import pytest
from chat.fakes import Shelf

from modelpack.chat.answer import Manner
from modelpack.chat.commands import is_command, obey
from modelpack.chat.session import Session
from modelpack.template.chat import ChatMessage


@pytest.fixture
def session():
    return Session()


def say(line: str, session: Session) -> str:
    said: list[str] = []
    obey(line, session, Shelf(), said.append)
    return "".join(said)


@pytest.mark.parametrize("line", ["/?", "/set", "  /show info", "/x"])
def test_a_slash_and_a_word_is_a_command(line):
    assert is_command(line)


@pytest.mark.parametrize("line", ["", "hello /set", "/usr/bin", "//", "/cat.PNG a"])
def test_anything_else_is_not(line):
    assert not is_command(line)


def test_an_unknown_command_points_to_help(session):
    assert say("/x", session) == "Unknown command '/x'. Type /? for help\n"
    assert say("/set x y", session) == "Unknown command '/set x'. Type /? for help\n"
    assert say("/show x", session) == "Unknown command '/show x'. Type /? for help\n"


@pytest.mark.parametrize("line", ["/?", "/help"])
def test_help_lists_the_commands(session, line):
    text = say(line, session)
    assert all(
        word in text for word in ("/set", "/show", "/load", "/save", "/clear", "/bye", '"""')
    )


def test_help_on_a_command_lists_its_forms(session):
    assert "/set parameter" in say("/? set", session) == say("/set", session)
    assert "/show modelfile" in say("/? /show", session) == say("/show", session)
    assert "Ctrl + d" in say("/? shortcuts", session)


def test_a_parameter_gets_its_type(session):
    assert say("/set parameter temperature 0.5", session) == (
        "Set parameter 'temperature' to '0.5'\n"
    )
    say("/set parameter num_predict 5", session)
    assert session.options == {"temperature": 0.5, "num_predict": 5}


def test_several_stop_strings_are_set_at_once(session):
    assert say("/set parameter stop A B", session) == "Set parameter 'stop' to 'A, B'\n"
    assert session.options == {"stop": ["A", "B"]}


@pytest.mark.parametrize("line", ["/set parameter seed x", "/set parameter nothing 1"])
def test_a_parameter_that_is_none_is_refused(session, line):
    assert say(line, session).startswith("Couldn't set parameter: ")
    assert session.options == {}


def test_a_parameter_without_a_value_is_explained(session):
    assert say("/set parameter seed", session).startswith("Usage:")


def test_a_system_prompt_keeps_its_spaces(session):
    assert say("/set system  You are  a pirate. ", session) == "Set system message.\n"
    assert session.system == "You are  a pirate."
    assert say("/set system", session).startswith("Usage:")


def test_showing_asks_the_description(session):
    assert say("/show license", session) == "MIT\n\n"
    assert say("/show system", session) == "Be brief.\n\n"
    assert say("/show template", session) == "No template was specified for this model.\n"


def test_what_the_user_set_is_shown(session):
    session.system = "Be kind."
    session.set_option("seed", 3)
    assert say("/show system", session) == "Be kind.\n\n"
    assert say("/show parameters", session) == (
        "stop    END\n\nUser defined parameters:\n  seed   3\n\n"
    )


def test_clearing_keeps_the_settings(session):
    session.keep(ChatMessage(role="user", content="one"), "two")
    session.set_option("seed", 3)
    assert say("/clear", session) == "Cleared session context\n"
    assert (session.messages, session.options) == ([], {"seed": 3})


def test_wrapping_is_left_to_the_terminal(session):
    assert say("/set wordwrap", session) == say("/set nowordwrap", session) != ""


@pytest.mark.parametrize(
    ("line", "manner"),
    [
        ("/set think", {"think": True}),
        ("/set think high", {"think": "high"}),
        ("/set nothink", {"think": False}),
        ("/set format json", {"format": "json"}),
        ("/set noformat", {}),
        ("/set format xml", {}),
    ],
)
def test_thinking_and_the_format_are_set_for_the_answers_to_come(session, line, manner):
    assert say(line, session)
    assert session.manner == Manner(**manner)
