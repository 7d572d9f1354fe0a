"""`/save`, `/load` and `/list`."""

from __future__ import annotations

import pytest
from chat.fakes import ScriptedModel, Shelf, Terminal, partnered

from modelpack.chat import interactive
from modelpack.errors import EngineError
from modelpack.modelfile import Message, check

OPENING = (Message("system", "Be old."), Message("user", "Hello"), Message("assistant", "Good day"))


def talk(shelf: Shelf, *lines: str | BaseException) -> str:
    """Return the screen after *lines*."""
    terminal = Terminal(*lines)
    interactive(shelf, terminal.read, terminal.write)
    return terminal.screen


def test_what_a_model_begins_with_is_shown_as_if_it_had_been_said():
    shelf = Shelf(partnered(opening=OPENING))
    assert talk(shelf) == ">>> Hello\nGood day\n\n\n"


def test_a_session_is_saved_with_all_that_was_set_and_said():
    shelf = Shelf(partnered(ScriptedModel(["No"]), opening=OPENING))
    lines = ("/set system Be kind.", "/set parameter stop A B", "/set parameter top_p 1")
    screen = talk(shelf, *lines, 'Say """\nno', "/save second")
    assert "Created new model 'second'\n" in screen
    saved = shelf.saved["second"]
    check(saved)
    assert (saved.bases, saved.system) == (("first",), "Be kind.")
    assert saved.parameters == {"stop": ["A", "B"], "top_p": 1.0}
    said = [("user", "Hello"), ("assistant", "Good day"), ("user", 'Say """\nno')]
    assert [(m.role, m.content) for m in saved.messages] == [*said, ("assistant", "No")]


def test_what_was_not_set_is_left_to_the_model():
    shelf = Shelf(partnered(opening=OPENING))
    talk(shelf, "/save second")
    assert shelf.saved["second"].system is None
    assert shelf.saved["second"].messages == OPENING


def test_another_model_forgets_what_was_said_and_keeps_parameters():
    other = ScriptedModel(["Ahoy"])
    shelf = Shelf(None, partnered(other, "pirate", opening=OPENING[1:]))
    lines = ("/set system Be kind.", "/set parameter seed 3", "one", "/load pirate", "two")
    screen = talk(shelf, *lines)
    assert "Loading model 'pirate'\n>>> Hello\nGood day\n\nAhoy" in screen
    assert other.asked == [["user: two"]]
    assert other.options == shelf.loaded == [{"seed": 3}]


def test_a_model_that_is_not_there_changes_nothing():
    model = ScriptedModel()
    screen = talk(Shelf(partnered(model)), "one", "/load nobody", "two")
    assert "Loading model 'nobody'\nCouldn't find model 'nobody'\n" in screen
    assert model.asked[1] == ["user: one", "assistant: yes", "user: two"]


@pytest.mark.parametrize("error", [EngineError("no memory for it"), KeyboardInterrupt()])
def test_a_model_that_cannot_be_loaded_changes_nothing(error, monkeypatch):
    model = ScriptedModel()
    shelf = Shelf(partnered(model))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(shelf, "load", fail)
    screen = talk(shelf, "one", "/load second", "two")
    assert ("Error: no memory for it\n" in screen) == isinstance(error, EngineError)
    assert model.asked[1] == ["user: one", "assistant: yes", "user: two"]


def test_a_name_that_is_none_is_one_line_and_the_session_goes_on():
    model = ScriptedModel()
    screen = talk(Shelf(partnered(model)), "/save Bad", "/save", "/load", "/load a b", "Hi")
    assert screen.startswith(
        "Error: 'Bad' is not a name\nUsage: /save <model>\n" + "Usage: /load <model>\n" * 2
    )
    assert model.asked == [["user: Hi"]]


def test_models_are_listed():
    shelf = Shelf(None, partnered(name="ab"), partnered(name="b"))
    assert talk(shelf, "/list", "/list a") == "ab\nb\nab\n\n"
