from __future__ import annotations

import os
import signal
import threading

import pytest
from chat.fakes import ScriptedModel, Terminal

from modelpack.chat import Manner, answer
from modelpack.errors import EngineError
from modelpack.template.chat import ChatMessage, ToolCall
from modelpack.template.replies.parts import Thinking


def ask(model, prompt, write, **manner):
    messages = [ChatMessage(role="user", content=prompt)]
    return answer(model, messages, write, Manner(**manner)).finished


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_an_answer_is_written_as_it_comes_and_ends_its_line():
    terminal = Terminal()
    model = ScriptedModel(["Hello", " there"])
    finished = ask(model, "Hi", terminal.write, options={"seed": 1})
    assert terminal.screen == "Hello there\n"
    assert finished.reason == "stop"
    assert model.asked == [["user: Hi"]]
    assert model.options == [{"seed": 1}]


def test_an_interrupt_ends_the_answer_within_one_step():
    terminal = Terminal()
    finished = ask(ScriptedModel(["one ", interrupt, "two ", "three"]), "Count", terminal.write)
    assert finished.reason == "cancelled"
    assert terminal.screen == "one \n"


def test_an_interrupt_that_is_raised_closes_the_answer():
    model = ScriptedModel(["one ", raise_interrupt, "two"])
    terminal = Terminal()
    assert ask(model, "Count", terminal.write).reason == "cancelled"
    assert terminal.screen == "one \n"
    assert model.open_answers == 0


def test_an_interrupt_while_writing_closes_the_answer():
    model = ScriptedModel(["one ", "two"])

    def write(text: str) -> None:
        if text == "two":
            raise KeyboardInterrupt

    assert ask(model, "Count", write).reason == "cancelled"
    assert model.open_answers == 0


def test_the_interrupt_of_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    ask(ScriptedModel(["one ", interrupt, "two"]), "Count", Terminal().write)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_answer_on_another_thread_leaves_interrupts_alone():
    terminal = Terminal()
    thread = threading.Thread(target=ask, args=(ScriptedModel(["a"]), "Hi", terminal.write))
    thread.start()
    thread.join()
    assert terminal.screen == "a\n"


def test_what_the_engine_refuses_is_raised():
    def refuse() -> None:
        raise EngineError("no room")

    with pytest.raises(EngineError, match="no room"):
        ask(ScriptedModel([refuse]), "Hi", Terminal().write)


def test_thinking_and_calls_are_told_apart():
    call = ToolCall(name="weather", arguments={"city": "Köln"})
    terminal = Terminal()
    model = ScriptedModel([Thinking("Hm"), Thinking("."), "Let me see.", call])
    assert ask(model, "Weather?", terminal.write, think=True).reason == "stop"
    said = 'Let me see.\n{"name": "weather", "arguments": {"city": "Köln"}}\n'
    assert terminal.screen == f"Thinking...\nHm.\n...done thinking.\n\n{said}"
    assert model.wishes == [{"tools": (), "think": True, "format": None}]
    hidden = Terminal()
    ask(ScriptedModel([Thinking("Hm"), "Yes"]), "Hi", hidden.write, hides_thinking=True)
    assert hidden.screen == "Yes\n"
