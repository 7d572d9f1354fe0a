"""Plain command lines are understood without Typer, and just as Typer understands them."""

from __future__ import annotations

import errno
import importlib
import inspect
import sys

import pytest
import typer

from modelpack.cli import _moves, _quick, start
from modelpack.cli.app import app

PLAIN = [
    "pull a",
    "pull -q a",
    "pull a --quiet",
    "pull --json --insecure a --verify",
    "pull --ca-file ca.pem --cert-file c.pem --key-file k.pem a",
    "pull --concurrency 64 a",
    "pull --concurrency 007 a",
    "pull --limit-rate 50MiB/s a",
    "pull --limit-rate 1MiB --limit-rate 2MiB a",
    "push a",
    "push a b",
    "push a -q b --json",
    "copy a b",
    "copy --concurrency 1 a b -q",
]
OTHERS = [
    "",
    "list",
    "--version",
    "pull",
    "pull a b",
    "pull --help",
    "pull a -h",
    "pull a --quie",
    "pull -qq a",
    "pull -- -q",
    "pull a --frobnicate",
    "pull --ca-file=ca.pem a",
    "pull a --ca-file",
    "pull --ca-file -q a",
    "pull --concurrency 0 a",
    "pull --concurrency 65 a",
    "pull --concurrency +4 a",
    "pull --concurrency 4_0 a",
    "pull --concurrency many a",
    "push",
    "push a b c",
    "push --verify a",
    "copy a",
    "copy a b c",
]


def by_typer(words):
    """What Typer gives the function of the command."""
    context = typer.main.get_command(app).make_context("modelpack", list(words))
    command = context.command.get_command(context, words[0])
    return command.make_context(words[0], list(words[1:]), parent=context).params


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_means_what_it_means_to_typer(line):
    words = line.split()
    wanted = _quick.parse(words)
    assert wanted is not None
    main = importlib.import_module(f"modelpack.cli.{words[0]}").main
    usual = {
        name: parameter.default
        for name, parameter in inspect.signature(main).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert usual | dict(wanted.given) == by_typer(words)


@pytest.mark.parametrize("line", OTHERS)
def test_any_other_line_is_left_to_typer(line):
    assert _quick.parse(line.split()) is None


def test_an_empty_word_is_left_to_typer():
    assert _quick.parse(["pull", ""]) is None
    assert _quick.parse(["pull", "--ca-file", "", "a"]) is None


def test_every_option_is_known():
    for command in ("pull", "push", "copy"):
        given = inspect.signature(importlib.import_module(f"modelpack.cli.{command}").main)
        names, _ = _quick._ARGUMENTS[command]
        known = {*_quick._FLAGS.values(), *_quick._VALUES.values(), *names}
        assert set(given.parameters) - {"verify"} == known


@pytest.mark.parametrize(
    ("raised", "code"),
    [(KeyboardInterrupt(), 130), (BrokenPipeError(errno.EPIPE, "gone"), 1)],
)
@pytest.mark.parametrize("line", [["pull", "a"], ["pull", "--concurrency=4", "a"]])
def test_it_ends_as_it_does_with_typer(monkeypatch, raised, code, line):
    def fail(*_words, **_given):
        raise raised

    monkeypatch.setattr(_moves, "pull", fail)
    monkeypatch.setattr("sys.argv", ["modelpack", *line])
    monkeypatch.setattr("sys.stdout", sys.stdout)  # Typer puts others in their place
    monkeypatch.setattr("sys.stderr", sys.stderr)
    with pytest.raises(SystemExit) as left:
        start.main()
    assert left.value.code == code
