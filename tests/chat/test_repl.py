from __future__ import annotations

import stat

import pytest
from chat.fakes import ScriptedModel, Shelf, Terminal, partnered

from modelpack.chat import Session, interactive
from modelpack.errors import EngineError


def talk(*lines: str | BaseException, model: ScriptedModel | None = None, **settings: object):
    terminal = Terminal(*lines)
    model = model or ScriptedModel()
    interactive(Shelf(partnered(model)), terminal.read, terminal.write, **settings)
    return terminal, model


def test_a_line_is_answered_and_ctrl_d_ends_the_session():
    terminal, _model = talk("Hi", model=ScriptedModel(["Hello"]))
    assert terminal.screen == "Hello\n\n\n"
    assert terminal.prompts == [">>> ", ">>> "]


@pytest.mark.parametrize("word", ["/bye", "/exit", "  /bye  "])
def test_the_words_for_leaving_end_the_session(word):
    terminal, model = talk(word, "never read")
    assert (terminal.screen, model.asked) == ("", [])


def test_the_next_turn_has_the_conversation_so_far():
    _, model = talk("one", "two", model=ScriptedModel(["first"], ["second"]))
    assert model.asked[1] == ["user: one", "assistant: first", "user: two"]


def test_empty_lines_ask_nothing():
    _, model = talk("", "   ")
    assert model.asked == []


def test_triple_quotes_hold_several_lines():
    terminal, model = talk('"""one', "two", 'three"""')
    assert model.asked == [["user: one\ntwo\nthree"]]
    assert terminal.prompts[:3] == [">>> ", "... ", "... "]


def test_triple_quotes_may_close_on_their_line():
    _, model = talk('"""one line"""')
    assert model.asked == [["user: one line"]]


def test_a_system_prompt_may_have_several_lines():
    _, model = talk('/set system """Be', 'kind."""', "Hi")
    assert model.asked == [["system: Be\nkind.", "user: Hi"]]


def test_triple_quotes_alone_on_a_line_begin_a_message():
    _, model = talk('"""', "text", '"""')
    assert model.asked == [["user: \ntext\n"]]


def test_ctrl_c_drops_what_was_typed_and_keeps_the_session():
    terminal, model = talk('"""one', KeyboardInterrupt(), "two")
    assert "Use Ctrl + d or /bye to exit." in terminal.screen
    assert model.asked == [["user: two"]]


def test_ctrl_c_stops_an_answer_and_keeps_what_was_said():
    def interrupt() -> None:
        raise KeyboardInterrupt

    model = ScriptedModel(["one ", interrupt, "two"], ["again"])
    terminal, _ = talk("Count", "Go on", model=model)
    assert model.asked[1] == ["user: Count", "assistant: one ", "user: Go on"]
    assert "again" in terminal.screen
    assert model.open_answers == 0


def test_a_refused_turn_is_reported_and_forgotten():
    def refuse() -> None:
        raise EngineError("the prompt is too long", hint="shorten it")

    terminal, model = talk("long", "short", model=ScriptedModel([refuse], ["fine"]))
    assert "Error: the prompt is too long\nshorten it\n" in terminal.screen
    assert model.asked[1] == ["user: short"]


def test_settings_reach_the_model():
    _, model = talk("/set parameter seed 7", "/set system Be kind.", "Hi")
    assert model.options == [{"seed": 7}]
    assert model.asked == [["system: Be kind.", "user: Hi"]]


def test_clearing_forgets_the_conversation():
    _, model = talk("one", "/clear", "two")
    assert model.asked[1] == ["user: two"]


def test_a_path_is_not_a_command():
    _, model = talk("/tmp/notes.txt")
    assert model.asked == [["user: /tmp/notes.txt"]]


def test_verbose_sessions_say_what_an_answer_took():
    terminal, _ = talk("Hi", session=Session(verbose=True))
    assert "total duration:       1.5s\n" in terminal.screen
    quiet, _ = talk("/set verbose", "/set quiet", "Hi")
    assert "total duration" not in quiet.screen


def test_typed_lines_are_kept_for_the_next_session(tmp_path):
    path = tmp_path / "state" / "history"
    talk("one", "/show license", "", "one", history_path=path)
    assert path.read_text() == "one\n/show license\none\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_hundred_lines_are_kept(tmp_path):
    path = tmp_path / "history"
    path.write_text("".join(f"old {number}\n" for number in range(150)))
    talk("new", history_path=path)
    lines = path.read_text().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (100, "old 51", "new")


def test_nohistory_keeps_nothing_from_then_on(tmp_path):
    path = tmp_path / "history"
    talk("/set nohistory", "secret", "/set history", "open", history_path=path)
    assert path.read_text() == "/set nohistory\nopen\n"


def test_a_history_that_cannot_be_written_does_not_end_the_session(tmp_path):
    (tmp_path / "file").write_text("")
    _, model = talk("Hi", history_path=tmp_path / "file" / "history")
    assert model.asked == [["user: Hi"]]
