"""`prune`, `fsck` and `du`."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from fakes.registry import FakeRegistry
from support.models import blob_names

from modelpack.store import locks


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def stray(store, built):
    """A blob that no model needs."""
    path = store / "blobs" / f"sha256-{'a' * 64}"
    path.write_bytes(bytes(2_000))
    return path


def damage(cli, store, name):
    digest = cli("show", "--json", name).json["layers"][0]["digest"]
    blob = store / "blobs" / digest.replace(":", "-")
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    return digest


def test_prune_prints_what_goes_and_what_that_frees(cli, store, stray):
    old = store / "ingest" / "tmpold"
    old.write_bytes(bytes(1_000))
    os.utime(old, (1, 1))
    (store / "manifests" / "local" / "gone").mkdir()
    rest = (
        f"sha256:{'a' * 64} (2.0 KB)",
        "unfinished tmpold (1.0 KB)",
        f"empty folder {store}/manifests/local/gone",
    )
    would = cli("prune", "--dry-run")
    assert would.lines == [f"would remove {line}" for line in rest]
    assert would.err == "would free 3.0 KB\n"
    assert stray.exists()
    done = cli("prune")
    assert (done.code, done.lines) == (0, [f"removed {line}" for line in rest])
    assert done.err == "freed 3.0 KB\n"
    assert not stray.exists()
    assert cli("show", "--system", "tiny").code == 0
    assert (cli("prune").out, cli("prune").err) == ("", "freed 0 B\n")


def test_prune_as_json(cli, stray):
    assert cli("prune", "--json", "--dry-run").json == {
        "dry_run": True,
        "busy": False,
        "freed": 2_000,
        "awaited": 0,
        "blobs": [{"digest": f"sha256:{'a' * 64}", "size": 2_000}],
        "leftovers": [],
        "folders": [],
        "referrers": [],
        "unreadable": [],
    }


def test_prune_refuses_while_somebody_builds(cli, store, stray):
    with locks.shared(store / ".lock"):
        assert "is in use" in cli("prune").error(8)
        would = cli("prune", "--dry-run")
        assert (would.code, len(would.lines)) == (0, 1)
        assert would.err.startswith("Warning: something is built, pulled or pushed just now")
    assert stray.exists()


def test_prune_keeps_what_an_interrupted_pull_brought_unless_told_otherwise(cli, store, built):
    raw = (store / "manifests/local/tiny/latest").read_bytes()
    cli("rm", "tiny")
    for folder, name, data in (
        ("blobs", json.loads(raw)["config"]["digest"].replace(":", "-"), b"brought"),
        ("pulls", f"sha256-{hashlib.sha256(raw).hexdigest()}", raw),
    ):
        (store / folder).mkdir(exist_ok=True)
        (store / folder / name).write_bytes(data)
    done = cli("prune")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("kept 7 B of pulls that broke off; `--unfinished` removes them\n")
    assert cli("prune", "--unfinished", "--json").json["awaited"] == 0
    assert blob_names(store) == set()


def test_prune_keeps_blobs_for_a_name_that_cannot_be_read(cli, store, stray):
    (store / "manifests/local/tiny/latest").write_text("{")
    done = cli("prune")
    assert (done.code, done.out) == (0, "")
    warnings = [line for line in done.err.splitlines() if line.startswith("Warning: ")]
    assert "tiny:latest" in warnings[0]
    assert "modelpack rm" in warnings[1]
    assert stray.exists()
    cli("rm", "tiny")
    cli("prune")
    assert blob_names(store) == set()


def test_fsck_of_a_sound_store(cli, built):
    done = cli("fsck")
    assert done.code == 0
    assert done.lines[-1].startswith("checked 4 blobs, ")
    assert "checking blobs" in done.err


def test_fsck_exits_with_4_and_names_blob_and_models(cli, built, store):
    digest = damage(cli, store, "tiny")
    done = cli("fsck")
    assert done.code == 4
    assert done.lines[0].startswith(f"damaged: {digest} is damaged")
    assert done.lines[0].endswith("needed by tiny:latest")
    assert "Error: the store is damaged in 1 place: tiny:latest" in done.err
    assert "hint: `modelpack fsck --repair`" in done.err
    value = cli("fsck", "--json", "tiny").json
    assert [(t["kind"], t["digest"], t["models"]) for t in value["troubles"]] == [
        ("damaged", digest, ["tiny:latest"])
    ]


def test_fsck_tells_of_files_that_are_foreign_or_not_needed(cli, built, store):
    other = cli("build", "-q", "-t", "gone", "-f", "-", store.parent, stdin=b"FROM tiny\nSYSTEM y")
    assert other.code == 0
    (store / "manifests/local/gone/latest").unlink()
    (store / "blobs" / "notes.txt").write_text("hello")
    done = cli("fsck")
    assert done.code == 0
    assert f"foreign: {store}/blobs/notes.txt" in done.lines
    assert [line for line in done.lines if line.startswith("unreferenced: 2 blobs, ")]


def test_fsck_repairs_from_the_registry(cli, built, registry, store):
    name = f"{registry.host}/team/tiny:v1"
    cli("push", "tiny", name)
    cli("rm", "tiny")
    cli("pull", name)
    digest = damage(cli, store, name)
    done = cli("fsck", "--repair")
    assert done.code == 0
    assert done.lines[0] == f"repaired: {digest} fetched from {registry.host}"
    assert cli("fsck").code == 0


@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_names_of_files_that_are_not_unicode_or_not_printable_are_shown(cli, built, store, flag):
    for folder in ("blobs", "manifests/local/tiny", "ingest"):
        path = os.fsencode(store / folder) + b"/\xff\x1b[31m"
        with open(path, "wb"):  # noqa: PTH123 - a path of bytes
            os.utime(path, (1, 1))
    os.mkdir(os.fsencode(store / "manifests") + b"/\xff")  # noqa: PTH102
    for words in (("fsck", *flag), ("prune", *flag), ("du", *flag)):
        done = cli(*words)
        assert (done.code, "\x1b" in done.out + done.err) == (0, False), words


def test_fsck_of_an_unknown_model(cli, built):
    assert "'nothing' is not in the store" in cli("fsck", "nothing").error(3)


def test_du_prints_what_models_cost(cli, built, store):
    size = sum(path.stat().st_size for path in (store / "blobs").iterdir())
    cli("cp", "tiny", "other")
    value = cli("du", "--json").json
    assert value == {
        "models": [
            {"name": name, "size": size, "shared": size, "unique": 0}
            for name in ("other:latest", "tiny:latest")
        ],
        "needed": size,
        "unneeded": 0,
        "leftovers": 0,
        "total": size,
    }
    lines = cli("du").lines
    assert lines[0].split() == ["NAME", "SIZE", "SHARED", "UNIQUE"]
    assert lines[1].split()[0] == "other:latest"
    assert [line.split("  ")[0] for line in lines[4:]] == [
        "ON DISK", "needed by models", "needed by none", "unfinished", "total",
    ]  # fmt: skip


def test_du_of_one_model_prints_one_row(cli, built):
    cli("cp", "tiny", "other")
    assert [line.split()[0] for line in cli("du", "tiny").lines] == ["NAME", "tiny:latest"]
    assert cli("du", "nothing").error(3)


def test_du_warns_of_names_that_cannot_be_read(cli, built, store):
    (store / "manifests/local/tiny/latest").write_text("{")
    done = cli("du")
    assert done.err.startswith("Warning: cannot read the name tiny:latest")
    assert done.code == 0
