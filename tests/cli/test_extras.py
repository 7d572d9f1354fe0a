"""Parts that are not installed, each missing in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

_BLOCKED = """
    import sys

    blocked = sys.argv[1].split(",")

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in blocked:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Blocker())
    from modelpack.cli.app import main
    sys.argv = ["modelpack", *sys.argv[2:]]
    main()
"""
RUNTIME = "llama_cpp,numpy,jinja2,gotpl"
REGISTRY = "starlette,uvicorn,httptools,bcrypt"


def without(modules, *words):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_BLOCKED), modules, *map(str, words)],
        capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_run_without_the_runtime_says_what_to_install(built):
    done = without(RUNTIME, "run", "tiny", "Hello")
    assert done.returncode == 9
    error, hint = done.stderr.splitlines()
    assert error.startswith("Error: ")
    assert "'runtime' extra" in error
    assert hint == "hint: pip install 'modelpack-oci[runtime]'"
    assert done.stdout == ""


def test_serving_without_the_registry_extra_says_what_to_install(tmp_path):
    words = ("registry", "serve", "--root", tmp_path / "r", "--listen", "127.0.0.1:0")
    done = without(REGISTRY, *words)
    assert done.returncode == 9
    assert done.stderr.splitlines() == [
        "Error: the embedded registry needs the 'registry' extra",
        "hint: pip install 'modelpack-oci[registry]'",
    ]


@pytest.mark.parametrize(
    "words",
    [("--help",), ("list",), ("show", "tiny"), ("cp", "tiny", "other"), ("rm", "tiny")],
)
def test_everything_else_does_without_the_extras(built, words):
    done = without(f"{RUNTIME},{REGISTRY}", *words)
    assert done.returncode == 0
    assert "Error" not in done.stderr


def test_building_does_without_the_extras(folder):
    done = without(f"{RUNTIME},{REGISTRY}", "build", "-q", folder)
    assert (done.returncode, done.stderr) == (0, "")
