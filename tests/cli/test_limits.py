"""A disk that is really full and a folder that really is read-only, each in its own process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from fakes.models import serve_model
from fakes.registry import FakeRegistry


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        serve_model(registry)
        yield registry


def modelpack(*words, before=()):
    return subprocess.run(
        [*before, sys.executable, "-m", "modelpack", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_file_that_may_not_grow_leaves_nothing(registry, store):
    small_files = ("prlimit", "--fsize=100000", "--")
    done = modelpack("pull", f"{registry.host}/team/tiny:v1", before=small_files)
    assert done.returncode == 8
    assert "Error: cannot write to the store" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((store / "ingest").iterdir()) == []
    assert not (store / "manifests").exists()


@pytest.fixture
def ordinary():
    """Words to put before a command so that the modes of files count for root too."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may read and write everywhere, and there is no setpriv")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


def test_a_read_only_store_is_named(registry, store, ordinary):
    store.mkdir(parents=True)
    store.chmod(0o555)
    done = modelpack("pull", f"{registry.host}/team/tiny:v1", before=ordinary)
    store.chmod(0o755)
    assert done.returncode == 8
    assert done.stderr.splitlines()[-2].startswith("Error: cannot write to the store")
    assert done.stderr.splitlines()[-1].startswith("hint: set MODELPACK_MODELS")
    assert list(store.iterdir()) == []


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_file_that_may_not_be_read_is_named(folder, ordinary):
    (folder / "weights.gguf").chmod(0)
    done = modelpack("build", str(folder), before=ordinary)
    assert done.returncode == 3
    assert "weights.gguf: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
