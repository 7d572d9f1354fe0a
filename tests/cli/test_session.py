"""The session of `modelpack run`: models are saved, loaded and listed from inside."""

from __future__ import annotations

import pytest
from engine.real import TINY, require
from fakes.terminal import Terminal
from support.serving import MODEL, serving, tiny_store

pytestmark = pytest.mark.model

NAME = "What is your name?"


@pytest.fixture
def tiny(cli, tmp_path):
    text = f"FROM {require(TINY)}\nPARAMETER temperature 0\n"
    assert cli("build", "-f", "-", "-t", MODEL, tmp_path, stdin=text.encode()).code == 0


@pytest.fixture
def served(tmp_path, monkeypatch):
    with serving(tiny_store(tmp_path)) as served:
        monkeypatch.setenv("MODELPACK_HOST", served.url)
        yield served


def say(terminal: Terminal, line: str) -> str:
    """Type *line* and return what is shown until the next one can be typed."""
    terminal.type(f"{line}\n")
    return terminal.wait_for(">>> ")


def save_and_load() -> None:
    with Terminal("run", MODEL, "-p", "top_k=7") as terminal:
        terminal.wait_for(">>> ")
        say(terminal, "/set system Your name is Otto.")
        assert "My name is Otto." in say(terminal, NAME)
        assert "Created new model 'otto'" in say(terminal, "/save otto")
        assert "Error: " in say(terminal, "/save :")
        assert "Couldn't find model 'nobody'" in say(terminal, "/load nobody")
        assert "My name is Otto." in say(terminal, NAME)
        assert "Loading model 'tiny'" in say(terminal, f"/load {MODEL}")
        assert "Otto" not in say(terminal, NAME)
        terminal.type("/load otto\n")
        assert "Loading model 'otto'" in terminal.wait_for(f">>> {NAME}")  # of the saved session
        assert "My name is Otto." in terminal.wait_for(">>> ")
        assert "My name is Otto." in say(terminal, NAME)
        assert "otto:latest" in say(terminal, "/list ot")
        terminal.type("/bye\n")
        assert terminal.end() == 0


def check_saved(cli) -> None:
    said = cli("show", "otto", "--json").json
    assert said["system"] == "Your name is Otto."
    assert said["parameters"]["top_k"] == 7
    assert said["messages"] == [
        {"role": "user", "content": NAME},
        {"role": "assistant", "content": "My name is Otto."},
    ]
    assert "Otto" in cli("run", "otto", NAME).out


def test_a_session_is_saved_and_loaded_in_the_store(cli, tiny):
    save_and_load()
    check_saved(cli)


def test_a_session_is_saved_and_loaded_at_a_server(cli, served):
    save_and_load()
    check_saved(cli)
    assert served.context.find("otto").reference.name == "otto:latest"
    assert len(served.ask("GET", "/api/tags").json()["models"]) == 2


def test_a_model_that_makes_vectors_is_not_talked_to(cli, tiny, tmp_path):
    from engine.bert import write_bert

    path, _ = write_bert(tmp_path / "bert.gguf")
    assert cli("build", "-f", "-", "-t", "bert", tmp_path, stdin=f"FROM {path}\n".encode())
    with Terminal("run", MODEL) as terminal:
        terminal.wait_for(">>> ")
        assert "does not write text" in say(terminal, "/load bert")
        assert "My name is" in say(terminal, NAME)


@pytest.fixture
def broken(cli, built):
    """A model called `broken`, whose weights are none."""
    assert cli("cp", MODEL, "broken").code == 0


def test_a_model_that_cannot_be_loaded_leaves_the_one_before(broken, tiny):
    with Terminal("run", MODEL) as terminal:
        terminal.wait_for(">>> ")
        assert "Error: " in say(terminal, "/load broken")
        assert "My name is" in say(terminal, NAME)
