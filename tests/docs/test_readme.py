"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelpack.cli.app import COMMANDS
from modelpack.server.registry import RegistrySettings, running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.model
def test_the_python_of_the_readme_runs(tmp_path):
    pytest.importorskip("llama_cpp", reason="the runtime extra is not installed")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with running(RegistrySettings(root=tmp_path, listen="127.0.0.1:0")) as url:
        code = code.replace("127.0.0.1:5000", url.removeprefix("http://"))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    digest, answer = done.stdout.split("\n", 1)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    assert answer == "The capital of France is Paris."


def test_every_command_is_shown_and_every_shown_command_exists():
    shown = set(re.findall(r"^(?:    |.*\| )modelpack ([a-z]+)", README, re.MULTILINE))
    assert shown == set(COMMANDS)


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
