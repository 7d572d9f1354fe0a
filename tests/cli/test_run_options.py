"""How `modelpack run` is told what the answer shall be."""

from __future__ import annotations

import json

import pytest
from engine.bert import MEAN, RANK, TEXTS, compute, tokens_of, write_bert
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


def vector(done) -> list[float]:
    assert (done.code, done.out.count("\n")) == (0, 1)
    return json.loads(done.out)


@pytest.fixture
def encoder(cli, tmp_path):
    pytest.importorskip("llama_cpp")
    path, weights = write_bert(tmp_path / "bert.gguf")
    assert cli("build", "-f", "-", "-t", "bert", tmp_path, stdin=f"FROM {path}\n".encode())
    return weights


def test_a_model_for_embeddings_prints_a_vector(cli, encoder):
    expected = compute(encoder, tokens_of(TEXTS[0]), MEAN)
    said = cli("run", "bert", *TEXTS[0].split())
    assert vector(said) == pytest.approx(list(expected), abs=2e-3)
    assert all(len(number.strip("-0.")) <= 9 for number in said.out.strip("[]\n").split(","))
    assert cli("run", "bert", stdin=TEXTS[0].encode()).out == said.out
    assert sum(number**2 for number in vector(said)) == pytest.approx(1, abs=1e-5)


def test_a_vector_can_be_cut(cli, encoder):
    cut = vector(cli("run", "bert", "--dimensions", "4", TEXTS[0]))
    assert len(cut) == 4
    assert sum(number**2 for number in cut) == pytest.approx(1, abs=1e-5)
    assert len(vector(cli("run", "bert", "--dimensions", "4000", TEXTS[0]))) == 32


def test_a_text_that_is_too_long_is_cut_or_refused(cli, encoder):
    long = "sky " * 100
    assert cli("run", "bert", long).out == cli("run", "bert", "--truncate", "sky " * 62).out
    assert "exceeds the context length" in cli("run", "bert", "--no-truncate", long).error(2)


def test_a_model_for_embeddings_needs_a_text(cli, encoder):
    assert "is for embeddings and needs a text" in cli("run", "bert").error(2)


def test_a_model_that_compares_texts_says_so(cli, tmp_path):
    pytest.importorskip("llama_cpp")
    path, _ = write_bert(tmp_path / "rank.gguf", pooling=RANK)
    assert cli("build", "-f", "-", "-t", "rank", tmp_path, stdin=f"FROM {path}\n".encode())
    for words in (["a", "cat"], []):
        assert "compares texts and makes no vectors" in cli("run", "rank", *words).error(7)
