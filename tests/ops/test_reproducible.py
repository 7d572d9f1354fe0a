from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.ggufs import write_model
from support.models import LAYERED, context_in, make, opened

from modelpack.builder.plan import Cut
from modelpack.errors import InputError

TEXT = '''FROM ./m.gguf
TEMPLATE """{{ .Prompt }}"""
PARAMETER stop B
PARAMETER temperature 0.5
PARAMETER top_k 5
LICENSE some text
LABEL z=1 a=2
DOC docs/notes.md
'''
CUTS = (LAYERED, Cut(size=None), Cut(size=10_000, layering="tensor"))

SCRIPT = """
import os, sys
from pathlib import Path
from modelpack.builder.plan import Cut
from modelpack.errors import InputError
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context

os.umask(int(sys.argv[3], 8))
folder = Path(sys.argv[1])
options = BuildOptions(context=folder, tags=["m"], cut=Cut(size=int(sys.argv[2])))
print(build(Context.create(), (folder / "Modelfile").read_bytes(), options).manifest.digest)
"""


def prepare(folder: Path) -> Path:
    write_model(folder / "m.gguf")
    (folder / "docs").mkdir()
    (folder / "docs/notes.md").write_text("notes")
    (folder / "Modelfile").write_text(TEXT)
    return folder


@pytest.mark.parametrize("cut", CUTS)
def test_the_same_input_gives_the_same_digest_anywhere(tmp_path, cut):
    first = prepare(tmp_path / "first")
    second = prepare(tmp_path / "second/deeper")
    for path in second.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    one = make(context_in(tmp_path / "store one"), TEXT, first, cut=cut)
    two = make(context_in(tmp_path / "other/store"), TEXT, second, "name/of:other", cut=cut)
    assert one.manifest.raw == two.manifest.raw


def test_the_same_input_gives_the_same_digest_in_another_process(tmp_path):
    folder = prepare(tmp_path / "context")

    def built(number: int, cwd: Path, umask: str, **environment: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "MODELPACK_MODELS": str(tmp_path / f"store{number}"),
            **environment,
        }
        found = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(folder), "40000", umask],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return found.stdout.strip()

    (tmp_path / "home").mkdir()
    here = Path.cwd()
    plain = {"PYTHONHASHSEED": "1", "HOME": str(tmp_path), "PYTHONPATH": str(here)}
    other = {
        "PYTHONHASHSEED": "4242",
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(here),
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "USER": "somebody",
    }
    digest = built(1, tmp_path, "022", **plain)
    assert digest.startswith("sha256:")
    assert built(2, folder, "077", **other) == digest
    dated = built(3, tmp_path, "022", **plain, SOURCE_DATE_EPOCH="1700000000")
    assert dated != digest
    assert built(4, folder, "077", **other, SOURCE_DATE_EPOCH="1700000000") == dated


def test_the_digest_is_not_a_matter_of_luck(tmp_path):
    """A change of the format shows here; then every model gets a new digest."""
    folder = prepare(tmp_path / "context")
    built = make(context_in(tmp_path / "store"), TEXT, folder, cut=LAYERED)
    assert str(built.manifest.digest) == (
        "sha256:cbc20d6eec5d84085ae65abf3ce7f263c748709de67f77663415126fb68b2c76"
    )


def test_nothing_says_when_a_model_was_built_unless_asked(tmp_path):
    folder = prepare(tmp_path / "context")
    context = context_in(tmp_path / "store")
    make(context, TEXT, folder, "plain")
    assert opened(context, "plain").artifact.facts.created == ""
    make(context, TEXT, folder, "dated", created="2026-01-31T12:00:00Z")
    assert opened(context, "dated").artifact.facts.created == "2026-01-31T12:00:00Z"


def test_source_date_epoch_sets_the_time(tmp_path):
    folder = prepare(tmp_path / "context")
    context = context_in(tmp_path / "store", SOURCE_DATE_EPOCH="1700000000")
    make(context, TEXT, folder)
    assert opened(context).artifact.facts.created == "2023-11-14T22:13:20Z"
    make(context, TEXT, folder, "asked", created="2026-01-31T12:00:00Z")
    assert opened(context, "asked").artifact.facts.created == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9" * 30, "9" * 5000, "253402300800"])
def test_a_source_date_epoch_that_is_no_time_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH"):
        context_in(tmp_path / "store", SOURCE_DATE_EPOCH=value)
