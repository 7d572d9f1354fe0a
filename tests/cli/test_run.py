"""`modelpack run` with a real model."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from engine.real import OPENING, STORIES, require
from fakes.models import context_at
from fakes.registry import FakeRegistry
from fakes.terminal import Terminal

from modelpack.ops.models import copy_name
from modelpack.ops.push import push

pytestmark = pytest.mark.model
PROMPT = "Once upon a time"
GREEDY = "PARAMETER temperature 0\nPARAMETER num_predict 30\nTEMPLATE {{ .Prompt }}\n"


@pytest.fixture
def stories(cli, tmp_path):
    """A model called `stories` that always gives the same 30 tokens."""
    text = f"FROM {require(STORIES)}\n{GREEDY}"
    assert cli("build", "-f", "-", "-t", "stories", tmp_path, stdin=text.encode()).code == 0


@pytest.fixture
def endless(cli, tmp_path, stories):
    """A model called `endless` that does not stop by itself for a long while."""
    text = "FROM stories\nPARAMETER num_predict 1000000\n"
    assert cli("build", "-f", "-", "-t", "endless", tmp_path, stdin=text.encode()).code == 0


def test_a_prompt_is_answered(cli, stories):
    done = cli("run", "stories", PROMPT)
    assert done.out.startswith(", there was a little girl named Lily")
    assert OPENING.startswith(done.out.strip()) or done.out.startswith(OPENING)
    assert (done.code, done.err) == (0, "")


def test_the_words_of_a_prompt_need_no_quotes(cli, stories):
    assert cli("run", "stories", *PROMPT.split()).out == cli("run", "stories", PROMPT).out


def test_a_prompt_may_be_piped_in(cli, stories):
    done = cli("run", "stories", stdin=f"{PROMPT}\n".encode())
    assert done.out.startswith(", there was a little girl named Lily")


def test_a_prompt_that_is_no_text_is_refused(cli, stories):
    assert "not UTF-8" in cli("run", "stories", stdin=b"\xff\xfe").error(2)


def test_verbose_says_how_long_it_took(cli, stories):
    done = cli("run", "--verbose", "stories", PROMPT)
    assert done.out.startswith(", there was a little girl named Lily")
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
    assert re.search(r"^eval count: +30 token\(s\)$", done.err, re.MULTILINE)


def test_a_model_of_a_registry_is_fetched_first(cli, stories, clean_environment):
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/stories:v1"
        context = context_at(clean_environment)
        copy_name(context, "stories", name)
        push(context, name)
        cli("rm", name)
        done = cli("run", name, PROMPT)
    assert done.out.startswith(", there was a little girl named Lily")
    assert f"{name} is not in the store, pulling it" in done.err


def test_a_model_that_is_nowhere_is_not_found(cli, stories):
    done = cli("run", "storys", PROMPT)
    assert "'storys' is not in the store" in done.error(3)
    assert "hint: did you mean stories" in done.err


def test_weights_that_are_no_model_are_one_error(cli, built):
    assert "Error: " in cli("run", "tiny", PROMPT).error(7)


def test_a_session_talks_until_bye(stories):
    with Terminal("run", "stories") as terminal:
        terminal.wait_for(">>> ")
        terminal.type("/help\n")
        assert "/bye" in terminal.wait_for(">>> ")
        terminal.type(f"{PROMPT}\n")
        assert ", there was a little girl named Lily" in terminal.wait_for(">>> ")
        terminal.type("/show parameters\n")
        assert "num_predict" in terminal.wait_for(">>> ")
        terminal.type("/bye\n")
        assert terminal.end() == 0


def test_ctrl_c_ends_an_answer_and_keeps_the_session(endless):
    with Terminal("run", "endless") as terminal:
        terminal.wait_for(">>> ")
        terminal.type(f"{PROMPT}\n")
        terminal.wait_for("there was")
        terminal.type("\x03")
        terminal.wait_for(">>> ")
        terminal.interrupt("Use Ctrl + d or /bye to exit.")
        terminal.wait_for(">>> ")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_ctrl_c_ends_a_single_answer_with_130(endless):
    with subprocess.Popen(
        [sys.executable, "-m", "modelpack", "run", "endless", PROMPT],
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
    assert (said + rest).startswith(b", there was a little")
