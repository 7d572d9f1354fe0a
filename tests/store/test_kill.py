"""A process that builds, removes and prunes may be killed at any moment.

MODELPACK_KILLS sets how often, MODELPACK_KILL_SEED when.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.ggufs import write_model
from support.models import assert_sound, blob_names, context_in, leftovers

from modelpack.ops.care import fsck
from modelpack.ops.export import export
from modelpack.ops.listing import list_models
from modelpack.store.gc import RESUMABLE_S, collect

KILLS = int(os.environ.get("MODELPACK_KILLS", "20"))
SEED = os.environ.get("MODELPACK_KILL_SEED", "1")
LONGEST_S = 0.5
FILES = {"a": 1, "b": 2, "both": 2}
"""Each model with the blocks of its GGUF; `b` and `both` share their weights."""

SCRIPT = """
import itertools, sys, time
from pathlib import Path
from modelpack.builder.plan import Cut
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context
from modelpack.ops.models import remove
from modelpack.store.gc import RESUMABLE_S, collect

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
context = Context.create()
print("ready", flush=True)
for turn in itertools.count(seed):
    name = ("a", "b", "both")[turn % 3]
    text = f"FROM {name}.gguf\\nSYSTEM {turn}\\n"
    cut = Cut(size=700_000)
    build(context, text.encode(), BuildOptions(context=folder, tags=[name, "x/" + name], cut=cut))
    if turn % 2:
        remove(context, [name])
    else:
        context.store.layout.manifest(context.parse("x/" + name)).unlink()
    collect(context.store.layout, time.time() + 2 * RESUMABLE_S, dry_run=False)
"""


def run_and_kill(folder: Path, root: Path, turn: int, after_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(turn)],
        env={"HOME": str(folder), "MODELPACK_MODELS": str(root), "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, said


@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_store_survives_being_killed_at_any_moment(tmp_path):
    chance = random.Random(SEED)
    sources = {
        name: write_model(tmp_path / f"{name}.gguf", blocks=blocks, width=224)
        for name, blocks in FILES.items()
    }
    root = tmp_path / "models"
    context = context_in(root)
    seen: set[str] = set()
    for turn in range(KILLS):
        after_s = chance.uniform(0, LONGEST_S)
        run_and_kill(tmp_path, root, turn, after_s)
        where = f"seed {SEED}, turn {turn}, killed after {after_s:.3f} s"
        checkup = fsck(context)
        assert (checkup.troubles, checkup.unreadable, checkup.foreign) == ((), (), ()), where
        for model in list_models(context, pytest.fail):
            export(context, model.name, tmp_path / "back.gguf")
            source = sources[model.name.removeprefix("x/").removesuffix(":latest")]
            assert (tmp_path / "back.gguf").read_bytes() == source, where
            seen.add(model.name)
    assert len(seen) > 1
    collect(context.store.layout, time.time() + 2 * RESUMABLE_S, dry_run=False)
    needed = {
        f"sha256-{blob.digest.hex}"
        for entry in context.store.list(pytest.fail)
        for blob in entry.manifest.blobs
    }
    assert blob_names(root) == needed
    assert leftovers(root) == []
    assert_sound(root)
