"""The command line itself: help, usage errors, exit codes, and what is loaded when."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from modelpack import __version__, errors
from modelpack.cli import app


def test_the_version_is_printed(cli):
    assert cli("--version").out == cli("-v").out == f"modelpack {__version__}\n"


def test_help_names_every_command(cli):
    done = cli("--help")
    assert done.code == 0
    for name, text in app.COMMANDS.items():
        assert f"  {name} " in done.out
        assert text in done.out
    assert cli("-h").out == done.out


@pytest.mark.parametrize("command", [*app.COMMANDS, *app.ALIASES])
def test_every_command_has_help(cli, command):
    done = cli(command, "--help")
    assert (done.code, done.err) == (0, "")
    name = app.ALIASES.get(command, command)
    assert app.COMMANDS[name] in done.out


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("--frobnicate",),
        ("pull",),
        ("pull", "a", "b"),
        ("pull", "--concurrency", "0", "a"),
        ("pull", "--concurrency", "many", "a"),
        ("build", "--layering", "diagonal"),
        ("rm",),
        ("cp", "a"),
        ("registry", "frobnicate"),
    ],
)
def test_usage_errors_exit_with_2(cli, words):
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert "Error" in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ModelPackError("x"), 1),
        (errors.InputError("x"), 2),
        (errors.NotFoundError("x"), 3),
        (errors.IntegrityError("x"), 4),
        (errors.NetworkError("x"), 5),
        (errors.SignatureError("x"), 6),
        (errors.EngineError("x"), 7),
        (errors.StoreError("x"), 8),
        (errors.MissingExtraError("x", "y"), 9),
    ],
)
def test_each_class_of_error_has_its_exit_code(cli, monkeypatch, error, code):
    def fail(*_words):
        raise error

    monkeypatch.setattr("modelpack.cli.cp.copy_name", fail)
    assert cli("cp", "a", "b").code == code


def test_an_error_is_one_line_and_a_hint(cli, monkeypatch):
    def fail(*_words):
        raise errors.InputError("two\nlines \x1b[31mred", hint="do\nthis")

    monkeypatch.setattr("modelpack.cli.cp.copy_name", fail)
    assert cli("cp", "a", "b").err == "Error: two lines  [31mred\nhint: do this\n"


@pytest.mark.parametrize(
    ("words", "spared"),
    [
        (("--help",), {"requests", "oras", "cryptography", "numpy", "llama_cpp", "rich"}),
        (("list",), {"requests", "oras", "cryptography", "numpy", "llama_cpp"}),
        (("pull", "127.0.0.1:1/nobody"), {"typer", "rich"}),
    ],
)
def test_a_command_loads_only_what_it_needs(words, spared):
    code = (
        "import sys\nfrom modelpack.cli.start import main\n"
        f"sys.argv = ['modelpack', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded & spared == set()


@pytest.mark.parametrize(
    ("words", "code"), [(["--version"], 0), (["list"], 0), (["show", "nobody"], 3), (["bad"], 2)]
)
def test_the_program_says_all_and_ends_with_the_code(tmp_path, words, code):
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", *words],
        capture_output=True, check=False, env={"MODELPACK_MODELS": str(tmp_path), **os.environ},
    )  # fmt: skip
    assert done.returncode == code
    assert done.stdout or done.stderr


def test_a_reader_that_goes_away_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "list"],
        stdout=write, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert "Traceback" not in done.stderr
    assert done.returncode != 0
