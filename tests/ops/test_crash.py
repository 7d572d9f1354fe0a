"""A build that is killed leaves a store that works."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ggufs import write_model
from support.models import LAYERED, assert_sound, blob_names, context_in, make, opened

SCRIPT = """
import itertools, os, signal, sys
from pathlib import Path
from modelpack.builder.plan import Cut
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context

folder, when, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
news = itertools.count()

def die(event):
    if next(news) == when:
        os.kill(os.getpid(), signal.SIGKILL)

context = Context.create()
put_name = type(context.store).name

def die_before_naming(self, reference, manifest):
    if when < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put_name(self, reference, manifest)

type(context.store).name = die_before_naming
options = BuildOptions(context=folder, tags=["m"], cut=Cut(size=size or None))
build(context, b"FROM m.gguf\\nSYSTEM x", options, die)
"""


@pytest.mark.parametrize("when", [0, 1, -1])
@pytest.mark.parametrize("size", [0, 40_000])
def test_a_killed_build_leaves_a_store_that_lists_and_works(tmp_path, when, size):
    write_model(tmp_path / "m.gguf", blocks=4, width=256)
    root = tmp_path / "models"
    context = context_in(root)
    (tmp_path / "other").mkdir()
    write_model(tmp_path / "other/m.gguf", blocks=1)
    make(context, "FROM m.gguf", tmp_path / "other", "other")
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(when), str(size)],
        env={"HOME": str(tmp_path), "MODELPACK_MODELS": str(root), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    warnings: list[str] = []
    names = [entry.reference.name for entry in context.store.list(warnings.append)]
    assert (names, warnings) == (["other:latest"], [])
    assert_sound(root)
    assert opened(context, "other").headers()
    make(context, "FROM m.gguf\nSYSTEM x", tmp_path, "m", cut=LAYERED)
    assert opened(context, "m").headers()
    assert_sound(root)
    assert blob_names(root)
