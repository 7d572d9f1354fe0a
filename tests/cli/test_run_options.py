"""How `modelpack run` is told what the answer shall be."""

from __future__ import annotations

import json

import pytest
from engine.real import ANSWER, QUESTION, TINY, require

pytestmark = pytest.mark.model

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def tiny(cli, tmp_path):
    assert cli("build", "-f", "-", "-t", "tiny", tmp_path, stdin=f"FROM {require(TINY)}\n".encode())
    return tmp_path


def test_parameters_win_over_those_of_the_model(cli, tiny):
    cold = ("run", "tiny", "-p", "temperature=0", QUESTION)
    assert cli(*cold).out.rstrip("\n") == ANSWER
    wild = ("temperature=9", "top_k=0", "top_p=1", "seed=5", "num_predict=20")
    hot = ("run", "tiny", *(word for value in wild for word in ("-p", value)), QUESTION)
    assert cli(*hot).out == cli(*hot).out != f"{ANSWER}\n"
    stopped = cli(*cold, "-p", "stop=Paris", "-p", "stop=is")
    assert stopped.out.rstrip() == "The capital of France"


def test_a_system_prompt_is_obeyed(cli, tiny):
    said = cli("run", "tiny", "--system", "Your name is Otto.", "What is your name?")
    assert said.out == "My name is Otto.\n"


def test_a_call_is_a_json_object_on_a_line(cli, tiny):
    (tiny / "tools.json").write_text(json.dumps([WEATHER]))
    done = cli("run", "tiny", "--tools", tiny / "tools.json", "What is the weather in Rome?")
    assert json.loads(done.out) == {"name": "get_weather", "arguments": {"city": "Rome"}}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("-p", "seed"), "not NAME=VALUE"),
        (("-p", "seed=x"), "seed"),
        (("-p", "nothing=1"), "nothing"),
        (("--think", "maybe"), "--think 'maybe' is not one of"),
        (("--format", "yaml"), "neither json nor a JSON schema"),
        (("--format", "{"), "no JSON schema"),
        (("--tools", "/nowhere"), "cannot read /nowhere"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_the_model_is_loaded(cli, words, error):
    assert error in cli("run", "nobody", *words, "Hi").error(2)


def test_files_that_hold_something_else_are_refused(cli, tmp_path):
    (tmp_path / "a").write_text("{")
    (tmp_path / "b").write_text('["x"]')
    assert "is not JSON" in cli("run", "x", "--tools", tmp_path / "a", "Hi").error(2)
    assert "holds no tools" in cli("run", "x", "--tools", tmp_path / "b", "Hi").error(2)
    assert "no JSON schema" in cli("run", "x", "--format", tmp_path / "b", "Hi").error(2)


def test_a_model_that_does_not_think_says_so(cli, tiny):
    assert "does not think" in cli("run", "tiny", "--think", "true", "Hi").error(7)
