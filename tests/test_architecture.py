"""The design rules that a machine can check."""

from __future__ import annotations

import ast
import importlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "modelpack"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEST_MODULES = sorted((ROOT / "tests").rglob("*.py"))
MAX_MODULE, MAX_MEDIAN, MAX_FUNCTION, MAX_FILE = 400, 150, 60, 512 * 1024
LARGE = ("LICENSE", "tiny.gguf")
HEAVY = frozenset(
    (
        "cryptography", "gotpl", "jinja2", "llama_cpp", "llguidance", "numpy", "oras", "pynvml",
        "requests", "rich", "starlette", "uvicorn",
    )
)  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def lines_of(path: Path) -> int:
    return path.read_text().count("\n")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_and_its_functions_are_short(path):
    assert lines_of(path) <= MAX_MODULE
    long = [
        node.name
        for node in ast.walk(tree_of(path))
        if isinstance(node, FUNCTIONS) and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("path", TEST_MODULES, ids=name_of)
def test_a_test_module_is_short(path):
    assert lines_of(path) <= MAX_MODULE


def test_half_of_the_modules_are_shorter_than_a_few_screens():
    assert statistics.median(lines_of(path) for path in MODULES) < MAX_MEDIAN


def test_only_the_server_is_async():
    found = {
        path.relative_to(PACKAGE).parts[0]
        for path in MODULES
        if any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree_of(path)))
    }
    assert found <= {"server"}


def public(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the public classes and functions below *node*, but not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef)) or child.name.startswith("_"):
            continue
        yield f"{prefix}{child.name}", child
        if isinstance(child, ast.ClassDef):
            yield from public(child, f"{prefix}{child.name}.")


def is_overload(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in decorators)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    tree = tree_of(path)
    assert path.stat().st_size == 0 or ast.get_docstring(tree)
    bare = [
        name for name, node in public(tree) if not is_overload(node) and not ast.get_docstring(node)
    ]
    assert bare == []


@pytest.mark.parametrize("module", ["modelpack.cli.app", "modelpack.ops.build"])
def test_importing_stays_cheap(module):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert HEAVY.isdisjoint(done.stdout.split())


def test_the_table_of_commands_says_what_the_commands_say():
    app = importlib.import_module("modelpack.cli.app")
    for name, text in app.COMMANDS.items():
        module = importlib.import_module(f"modelpack.cli.{app._MODULES.get(name, name)}")
        if hasattr(module, "main"):
            assert (module.main.__doc__ or "").splitlines()[0] == text, name
        else:
            assert text, name


def test_every_alias_means_a_command():
    app = importlib.import_module("modelpack.cli.app")
    assert set(app.ALIASES.values()) <= set(app.COMMANDS)


def test_the_tree_holds_no_large_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    large = [
        name
        for name in filter(None, listed.stdout.split("\0"))
        if not name.endswith(LARGE)
        and (ROOT / name).is_file()
        and (ROOT / name).stat().st_size > MAX_FILE
    ]
    assert large == []
