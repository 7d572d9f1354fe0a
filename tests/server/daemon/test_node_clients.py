"""The official clients for Node, unchanged, in a program of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = ROOT / ".tools" / "node"
CHECK = ROOT / "tests" / "support" / "node" / "check.mjs"

pytestmark = [pytest.mark.model, pytest.mark.client]


def test_they_are_content(own):
    node = shutil.which("node")
    if node is None or not (MODULES / "node_modules").is_dir():
        pytest.skip("the clients for Node are not installed: make tools")
    done = subprocess.run(
        [node, str(CHECK), own.url, str(MODULES)],
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "content" in done.stdout
