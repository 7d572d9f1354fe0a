"""`modelpack run` with a real model."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from engine.made import write_chain
from engine.real import ANSWER, QUESTION, TINY, require
from engine.seeing import TOKENS, png, write_projector
from fakes.models import context_at
from fakes.registry import FakeRegistry
from fakes.terminal import Terminal
from support.serving import context_of, serving

from modelpack.ops.models import copy_name
from modelpack.ops.push import push

pytestmark = pytest.mark.model

GO_ON = "Go on?"


@pytest.fixture
def talker(cli, tmp_path):
    """A model called `talker` that always answers `QUESTION` with `ANSWER`."""
    text = f"FROM {require(TINY)}\nPARAMETER temperature 0\nPARAMETER num_predict 30\n"
    assert cli("build", "-f", "-", "-t", "talker", tmp_path, stdin=text.encode()).code == 0


@pytest.fixture
def endless(cli, tmp_path):
    """What the model `endless` begins with after `GO_ON`; it never stops."""
    model = write_chain(tmp_path / "endless.gguf", "?", *"abcdefgh", loops=True)
    text = f"FROM {model}\nTEMPLATE {{{{ .Prompt }}}}\n"
    assert cli("build", "-f", "-", "-t", "endless", tmp_path, stdin=text.encode()).code == 0
    done = cli("run", "endless", "-p", "num_predict=12", GO_ON)
    assert done.out == "abcdefgh?abc\n"
    return done.out.rstrip("\n")


def test_a_prompt_is_answered(cli, talker):
    done = cli("run", "talker", QUESTION)
    assert (done.code, done.out.rstrip("\n"), done.err) == (0, ANSWER, "")


def test_the_words_of_a_prompt_need_no_quotes(cli, talker):
    assert cli("run", "talker", *QUESTION.split()).out == cli("run", "talker", QUESTION).out


def test_a_prompt_may_be_piped_in(cli, talker):
    done = cli("run", "talker", stdin=f"{QUESTION}\n".encode())
    assert done.out.rstrip("\n") == ANSWER


def test_a_prompt_that_is_no_text_is_refused(cli, talker):
    assert "not UTF-8" in cli("run", "talker", stdin=b"\xff\xfe").error(2)


def test_verbose_says_how_long_it_took(cli, talker):
    done = cli("run", "--verbose", "talker", QUESTION)
    assert done.out.rstrip("\n") == ANSWER
    labels = [line.partition(":")[0] for line in done.err.splitlines()]
    assert labels == [
        "total duration",
        "load duration",
        "prompt eval count",
        "prompt eval duration",
        "prompt eval rate",
        "eval count",
        "eval duration",
        "eval rate",
    ]
    assert re.search(r"^eval count: +14 token\(s\)$", done.err, re.MULTILINE)


def test_a_model_of_a_registry_is_fetched_first(cli, talker, clean_environment):
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/talker:v1"
        context = context_at(clean_environment)
        copy_name(context, "talker", name)
        push(context, name)
        cli("rm", name)
        done = cli("run", name, QUESTION)
    assert done.out.rstrip("\n") == ANSWER
    assert f"{name} is not in the store, pulling it" in done.err


def test_a_model_that_is_nowhere_is_not_found(cli, talker):
    done = cli("run", "talkr", QUESTION)
    assert "'talkr' is not in the store" in done.error(3)
    assert "hint: did you mean talker" in done.err


def test_weights_that_are_no_model_are_one_error(cli, built):
    assert "Error: " in cli("run", "tiny", QUESTION).error(7)


def test_a_session_talks_until_bye(talker):
    with Terminal("run", "talker") as terminal:
        terminal.wait_for(">>> ")
        terminal.type("/help\n")
        assert "/bye" in terminal.wait_for(">>> ")
        terminal.type(f"{QUESTION}\n")
        assert ANSWER in terminal.wait_for(">>> ")
        terminal.type("/show parameters\n")
        assert "num_predict" in terminal.wait_for(">>> ")
        terminal.type("/bye\n")
        assert terminal.end() == 0


def test_ctrl_c_ends_an_answer_and_keeps_the_session(endless):
    with Terminal("run", "endless") as terminal:
        terminal.wait_for(">>> ")
        terminal.type(f"{GO_ON}\n")
        terminal.wait_for(endless[:8])
        terminal.type("\x03")
        terminal.wait_for(">>> ")
        terminal.interrupt("Use Ctrl + d or /bye to exit.")
        terminal.wait_for(">>> ")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_ctrl_c_ends_a_single_answer_with_130(endless):
    with subprocess.Popen(
        [sys.executable, "-m", "modelpack", "run", "endless", GO_ON],
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said = b""
        while len(said) < 20:
            said += process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        rest, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaint == b""
    assert (said + rest).startswith(endless.encode())


@pytest.fixture
def seer(cli, tmp_path):
    """The projector of a model called `seer`, with an image beside it."""
    projector = write_projector(tmp_path / "projector.gguf", width=128)
    (tmp_path / "image.png").write_bytes(png(40, 30))
    text = f"FROM {require(TINY)}\nFROM {projector}\nPARAMETER temperature 0\n"
    text += "PARAMETER num_predict 8\n"
    assert cli("build", "-f", "-", "-t", "seer", tmp_path, stdin=text.encode()).code == 0
    return projector


def test_a_model_with_a_projector_looks_at_an_image(cli, tmp_path, seer):
    for images, tokens in ((("--image", tmp_path / "image.png"), 18 + TOKENS), ((), 18)):
        done = cli("run", "--verbose", "seer", *images, QUESTION)
        assert done.code == 0
        assert re.search(rf"^prompt eval count: +{tokens} token", done.err, re.MULTILINE)
    assert "no format" in cli("run", "seer", "--image", seer, QUESTION).error(2)
    assert "cannot read" in cli("run", "seer", "--image", tmp_path / "no.png", QUESTION).error(2)


def test_a_prompt_may_name_an_image(cli, tmp_path, seer):
    beside = cli("run", "seer", "--image", tmp_path / "image.png", QUESTION)
    named = cli("run", "seer", QUESTION, tmp_path / "image.png")
    assert (named.code, named.out) == (0, beside.out)
    assert named.err == f"Added image '{tmp_path}/image.png'\n"


def test_an_image_that_is_named_is_sent_to_a_server(cli, tmp_path, seer, store, monkeypatch):
    own = cli("run", "seer", QUESTION, tmp_path / "image.png")
    with serving(context_of(store)) as served:
        monkeypatch.setenv("MODELPACK_HOST", served.url)
        done = cli("run", "seer", QUESTION, tmp_path / "image.png")
        assert (done.out, done.err) == (own.out, own.err)
        (tmp_path / "a.webp").write_bytes(b"RIFF\x00\x00\x00\x00WEBPVP8 ")
        assert "cut off" in cli("run", "seer", tmp_path / "a.webp").err


def test_a_session_may_name_an_image(tmp_path, seer):
    (tmp_path / "a b.webp").write_bytes(b"RIFF\x00\x00\x00\x00WEBPVP8 ")
    with Terminal("run", "--verbose", "seer") as terminal:
        terminal.wait_for(">>> ")
        terminal.type(f"{tmp_path}/image.png {QUESTION}\n")
        shown = terminal.wait_for(">>> ")
        assert f"Added image '{tmp_path}/image.png'" in shown
        assert re.search(rf"prompt eval count: +{18 + TOKENS} token", shown)
        terminal.type(f"{tmp_path}/a\\ b.webp {QUESTION}\n")
        assert "Error: an image is damaged or cut off" in terminal.wait_for(">>> ")
        terminal.type("/bye\n")
        assert terminal.end() == 0


def test_an_image_that_the_prompt_names_is_text_to_a_model_that_sees_none(cli, talker, tmp_path):
    (tmp_path / "image.png").write_bytes(png(40, 30))
    done = cli("run", "talker", QUESTION, tmp_path / "image.png")
    assert (done.code, done.err) == (0, "")


def test_a_model_without_a_projector_looks_at_no_image(cli, talker, tmp_path):
    (tmp_path / "image.png").write_bytes(png(40, 30))
    done = cli("run", "talker", "--image", tmp_path / "image.png", QUESTION)
    assert "does not support images" in done.error(7)
