"""`modelpack registry gc`."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("uvicorn", reason="the registry extra is not installed")

from modelpack.server.registry import RegistrySettings, running
from modelpack.sizes import parse_duration


@pytest.fixture
def root(cli, built, tmp_path):
    """The folder of a registry whose only model has lost its name and manifest."""
    folder = tmp_path / "served"
    with running(RegistrySettings(root=folder, listen="127.0.0.1:0")) as base:
        host = base.removeprefix("http://")
        assert cli("push", "tiny", f"{host}/team/tiny:v1").code == 0
    for path in (folder / "repositories").rglob("*"):
        if path.is_file():
            path.unlink()
    return folder


def contents(root):
    return sorted(root.glob("blobs/*/*/*/data"))


def test_it_tells_and_then_removes_what_nobody_needs(cli, root):
    gc = ("registry", "gc", "--root", root, "--older-than", "0s")
    sizes = sum(path.stat().st_size for path in contents(root))
    told = cli(*gc, "--dry-run")
    assert told.code == 0
    assert told.out.startswith("would remove blob team/tiny@sha256:")
    assert len(contents(root)) == len(told.out.splitlines()) > 1
    assert "would free" in told.err
    done = json.loads(cli(*gc, "--json").out)
    assert (done["dry_run"], done["freed"]) == (False, sizes)
    assert {entry["repository"] for entry in done["blobs"]} == {"team/tiny"}
    assert contents(root) == []


def test_what_is_young_stays(cli, root):
    before = contents(root)
    assert cli("registry", "gc", "--root", root).out == ""
    assert contents(root) == before


def test_a_registry_that_runs_keeps_its_folder(cli, root):
    with running(RegistrySettings(root=root, listen="127.0.0.1:0")):
        done = cli("registry", "gc", "--root", root)
    assert "a registry serves" in done.error(8)
    assert "--gc-every" in done.err


def test_a_folder_that_is_none_is_named(cli, tmp_path):
    assert "no registry has its folder at" in cli("registry", "gc", "--root", tmp_path).error(2)


def test_a_registry_collects_beside_its_requests(root):
    settings = RegistrySettings(root=root, listen="127.0.0.1:0", gc_every_s=0.05, gc_grace_s=0.0)
    with running(settings):
        deadline = time.monotonic() + 20
        while contents(root):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600), ("0", 0),
     ("1.5h", 5400), (" 24h ", 86_400)],
)  # fmt: skip
def test_a_length_of_time_is_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", [" ", "h", "24", "-1h", "1e9d", "inf", "24 hours", "9" * 400 + "d"]
)
@pytest.mark.parametrize("words", [("gc", "--older-than"), ("serve", "--gc-every")])
def test_a_text_that_is_no_length_of_time_is_refused(cli, tmp_path, words, text):
    done = cli("registry", words[0], "--root", tmp_path / "r", f"{words[1]}={text}")
    assert "not a length of time" in done.error(2)


def test_collecting_all_the_time_is_refused(cli, tmp_path):
    done = cli("registry", "serve", "--root", tmp_path / "r", "--gc-every", "0.1s")
    assert "less than a second" in done.error(2)
