"""`save`, `load` and `copy`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from fakes.models import serve_model
from fakes.registry import FakeRegistry

from modelpack.oci.digest import Digest
from modelpack.store.paths import Layout


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.mark.parametrize("form", ["layout", "x.tar"])
def test_save_and_load_print_names_and_digests(cli, built, tmp_path, form):
    target = tmp_path / form
    assert cli("save", "tiny", "-o", target).out == f"tiny:latest  {built}\n"
    cli("rm", "tiny")
    assert cli("load", target).out == f"tiny:latest  {built}\n"
    assert cli("load", "-q", "-t", "other:v2", target).out == f"{built}\n"
    assert {m["name"] for m in cli("list", "--json").json} == {"tiny:latest", "other:v2"}


def test_json_is_a_list(cli, built, tmp_path):
    cli("cp", "tiny", "second")
    saved = cli("save", "--json", "tiny", "second", "-o", tmp_path / "x.tar")
    assert [(m["name"], m["digest"]) for m in saved.json] == [
        ("second:latest", built),
        ("tiny:latest", built),
    ]
    assert all(json.loads(line)["action"] == "export" for line in saved.err.splitlines())
    assert cli("load", "--json", tmp_path / "x.tar").json == saved.json


def test_a_tar_goes_to_a_pipe(cli, built, tmp_path, store):
    cli("save", "tiny", "-o", tmp_path / "x.tar")
    environment = {**os.environ, "MODELPACK_MODELS": str(store)}
    words = [sys.executable, "-m", "modelpack", "save", "-q", "tiny", "-o", "-"]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60, env=environment)
    assert done.stdout == (tmp_path / "x.tar").read_bytes()
    assert done.stderr == b""


@pytest.mark.parametrize("words", [(), ("-q",), ("--json",)])
def test_what_is_left_behind_is_said_even_where_nothing_else_is(cli, built, tmp_path, store, words):
    lost = Layout(store).referrer(Digest.parse(built), Digest.of(b"a signature"))
    lost.parent.mkdir(parents=True)
    lost.write_bytes(b"A signature")
    saved = cli("save", *words, "tiny", "-o", tmp_path / "x.tar")
    assert (saved.code, built in saved.out) == (0, True)
    lines = [line for line in saved.err.splitlines() if "left behind" in line]
    if words == ("--json",):
        assert [json.loads(line)["action"] for line in lines] == ["warning"]
    else:
        assert [line.partition(" sha256:")[0] for line in lines] == ["Warning: left behind"]


def test_a_tar_does_not_go_to_a_terminal(cli, built, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert "not for both" in cli("save", "--json", "tiny", "-o", "-").error(2)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert cli("save", "tiny", "-o", "-").code == 2


def test_errors_are_one_line(cli, built, tmp_path):
    assert "'tinny' is not in" in cli("save", "-q", "tinny", "-o", tmp_path / "a").error(3)
    assert "is a folder" in cli("save", "-q", "tiny", "-o", _folder(tmp_path / "b.tar")).error(2)
    assert "cannot read" in cli("load", tmp_path / "missing").error(3)
    assert "not an OCI image layout" in cli("load", tmp_path).error(2)


def _folder(path):
    path.mkdir()
    return path


def test_copy_takes_a_model_from_one_registry_to_another(cli, registry):
    serve_model(registry)
    with FakeRegistry() as second:
        source, target = f"{registry.host}/team/tiny:v1", f"{second.host}/other/name:v2"
        done = cli("copy", source, target)
        assert done.code == 0
        raw, kind = second.manifests["other/name", "v2"]
        assert (raw, kind) == registry.manifests["team/tiny", "v1"]
        assert set(registry.blobs) == set(second.blobs)
        digest = done.out.split()[-1]
        assert done.out == f"{target}  {digest}\n"
        assert done.err.startswith(f"copying {source} to {target}\n")
        said = cli("copy", "--json", f"{source}@{digest}", target).json
        assert said == {"name": target, "digest": digest, "size": said["size"], "referrers": 0}
        assert cli("copy", "-q", source, f"{second.host}/x@{digest}").out == f"{digest}\n"
        assert ("x", digest) in second.manifests


def test_copy_leaves_nothing_in_the_store(cli, registry, store):
    serve_model(registry)
    assert cli("copy", f"{registry.host}/team/tiny:v1", f"{registry.host}/b:v1").code == 0
    assert not store.exists()


def test_copy_of_damaged_bytes_names_nothing(cli, registry):
    value = serve_model(registry)
    digest = value["layers"][0]["digest"]
    registry.blobs[digest] = b"x" * len(registry.blobs[digest])
    with FakeRegistry() as second:
        failed = cli("copy", "-q", f"{registry.host}/team/tiny:v1", f"{second.host}/b:v1")
        assert registry.host in failed.error(4)
        assert second.manifests == {}


def test_copy_wants_registries_and_the_right_digest(cli, registry):
    serve_model(registry)
    name = f"{registry.host}/team/tiny:v1"
    assert "names no registry" in cli("copy", "-q", "tiny", name).error(2)
    assert "names no registry" in cli("copy", "-q", name, "tiny").error(2)
    other = f"{registry.host}/b@sha256:{'0' * 64}"
    assert "whose digest is" in cli("copy", "-q", name, other).error(2)
    cli("copy", "-q", f"{registry.host}/missing:v1", name).error(3)


def test_a_tar_comes_from_a_pipe(cli, built, tmp_path, store):
    cli("save", "tiny", "-o", tmp_path / "x.tar")
    cli("rm", "tiny")
    tar = (tmp_path / "x.tar").read_bytes()
    assert cli("load", "-q", stdin=tar).out == f"{built}\n"
    assert cli("show", "--system", "tiny").code == 0
    assert list((store / "ingest").iterdir()) == []
    assert "stdin" in cli("load", "-", stdin=tar[:5_000]).error(2)
    assert "stdin" in cli("load", stdin=b"").error(2)
