"""Everything that users and files can get wrong: one clear line, and nothing half written."""

from __future__ import annotations

import json
import struct

import pytest
from fakes.models import serve_model
from fakes.registry import FakeRegistry, basic, digest_of
from fakes.web import html, says, switched_off
from support import ggufs

from modelpack import limits


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def nothing_is_left(store):
    """Afterwards the store has no name and nothing on its way in, but for notes of pulls."""
    yield
    found = [p for p in store.rglob("*") if p.is_file() and p.name != ".lock"]
    assert [p for p in found if p.parent.name not in ("blobs", "pulls")] == []


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def build(cli, folder, text):
    return cli("build", "-t", "bad", "-f", "-", folder, stdin=text.encode())


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("FROM weights.gguf\nFORM x\n", "line 2, column 1", "FORM"),
        ("SYSTEM Be brief.\n", "line 1", "FROM"),
        ("", "line 1", "FROM"),
        ("FROM weights.gguf\nPARAMETER tempreture 1\n", "line 2, column 11", "'tempreture'"),
        ("FROM weights.gguf\nPARAMETER temperature hot\n", "line 2, column 23", "'hot'"),
        ("FROM weights.gguf\nPARAMETER num_ctx 1.5\n", "line 2, column 19", "'1.5'"),
        ('FROM weights.gguf\nSYSTEM """never closed\n', "line 2", "closed"),
    ],
)
def test_a_wrong_modelfile_is_shown_with_its_place(cli, folder, text, place, message):
    line = build(cli, folder, text).error(2)
    assert place in line
    assert message in line


def test_a_misspelt_word_has_a_hint(cli, folder):
    assert (
        "hint: did you mean temperature?"
        in build(cli, folder, "FROM weights.gguf\nPARAMETER tempreture 1\n").err
    )


def test_a_missing_modelfile_is_named(cli, tmp_path):
    assert f"cannot read {tmp_path}/Modelfile" in cli("build", tmp_path).error(3)


def test_a_missing_file_is_named(cli, folder):
    assert "missing.gguf" in build(cli, folder, "FROM ./missing.gguf\n").error(3)


def test_a_file_that_cannot_be_read_is_named(cli, folder):
    (folder / "loop.gguf").symlink_to("loop.gguf")
    assert "loop.gguf" in build(cli, folder, "FROM ./loop.gguf\n").error(3)


def test_a_model_that_is_nowhere_is_named(cli, folder):
    assert "FROM nosuchmodel" in build(cli, folder, "FROM nosuchmodel\n").error(3)


def test_a_file_that_is_no_gguf_is_refused(cli, folder):
    (folder / "weights.gguf").write_bytes(b"PK\3\4" + bytes(1000))
    assert "not a GGUF file" in build(cli, folder, "FROM weights.gguf\n").error(2)


@pytest.mark.parametrize("kept", [0, 3, 23, 24, 100, 1000, -1])
def test_a_truncated_gguf_is_refused(cli, folder, kept):
    path = folder / "weights.gguf"
    path.write_bytes(path.read_bytes()[:kept])
    assert "GGUF" in build(cli, folder, "FROM weights.gguf\n").error(2)


LIES = {
    "tensors": ggufs.raw_gguf(tensors=2**40),
    "keys": ggufs.raw_gguf(fields=2**40),
    "array": ggufs.raw_gguf(
        ggufs.raw_field("a", 9, struct.pack("<IQ", 0, 2**60)), fields=1, data=64
    ),
    "string": ggufs.raw_gguf(ggufs.raw_field("a", 8, struct.pack("<Q", 2**60)), fields=1),
    "offset": ggufs.raw_gguf(ggufs.raw_tensor("t", (8,), offset=2**50), tensors=1, data=64),
    "size": ggufs.raw_gguf(ggufs.raw_tensor("t", (2**40,)), tensors=1, data=64),
    "overflow": ggufs.raw_gguf(ggufs.raw_tensor("t", (2**62, 2**62)), tensors=1, data=64),
    "twice": ggufs.raw_gguf(
        ggufs.raw_tensor("t", (8,)), ggufs.raw_tensor("t", (8,), offset=32), tensors=2, data=64
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused(cli, folder, lie):
    (folder / "weights.gguf").write_bytes(LIES[lie])
    assert "GGUF" in build(cli, folder, "FROM weights.gguf\n").error(2)


@pytest.fixture
def shards(folder):
    return ggufs.write_split(
        folder, "split", [[ggufs.tensor("token_embd.weight")], [ggufs.tensor("output.weight")]]
    )


def test_a_missing_shard_is_named(cli, folder, shards):
    shards[1].unlink()
    text = f"FROM {shards[0].name}\n"
    assert "split-00002-of-00002.gguf is missing" in build(cli, folder, text).error(2)


def test_a_shard_given_twice_is_refused(cli, folder, shards):
    text = f"FROM {shards[0].name}\nFROM {shards[0].name}\n"
    assert "split-00001-of-00002.gguf" in build(cli, folder, text).error(2)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("registry.example/Team/tiny", "'Team' has upper case"),
        ("Tiny", "'Tiny' has upper case"),
        ("registry.example/../etc/passwd", "'..' is not a repository component"),
        ("../../etc/passwd", "'..' is not"),
        (f"registry.example/{'a' * 300}", "longer than 255 characters"),
        ("registry.example/tiny:a b", "'a b' is not a tag"),
        ("registry.example/tiny@sha512:" + "a" * 128, "not a digest we accept"),
        ("registry.example/tiny@sha256:abc", "not a sha256 digest"),
        ("registry.example:99999/tiny", "not a registry host"),
        ("", "names no repository"),
        ("\x1b[31mtiny", "is not a repository component"),
    ],
)
@pytest.mark.parametrize("command", ["pull", "push", "show", "rm", "run"])
def test_a_reference_that_is_none_is_refused(cli, command, reference, text):
    done = cli(command, reference)
    assert text in done.error(2)
    assert "\x1b" not in done.err


def test_a_reference_that_is_none_is_no_name_to_build(cli, folder):
    assert "upper case" in cli("build", "-t", "Tiny", folder).error(2)


def test_a_name_without_a_registry_cannot_be_pulled(cli):
    done = cli("pull", "tiny")
    assert "'tiny' names no registry" in done.error(2)
    assert "MODELPACK_REGISTRY" in done.err


def test_a_registry_that_is_down_is_named(cli):
    with switched_off() as host:
        assert f"cannot reach {host}" in cli("pull", f"{host}/team/tiny").error(5)


def test_a_refused_password_has_a_hint(cli, registry):
    registry.users = {"ann": "s3cret"}
    done = cli("pull", f"{registry.host}/team/tiny")
    assert "refused" in done.error(5)
    assert f"hint: modelpack login {registry.host}" in done.err


def test_a_wrong_password_is_not_kept(cli, registry, clean_environment):
    registry.users = {"ann": "s3cret"}
    words = ("login", "-u", "ann", "--password-stdin", registry.host)
    assert "refused" in cli(*words, stdin=b"wr0ng\n").error(5)
    assert not (clean_environment / ".docker").exists()
    assert basic("ann", "wr0ng") in [seen.authorization for seen in registry.seen]


def test_html_instead_of_a_manifest_is_called_so(cli, registry):
    registry.instead("GET", "/manifests/", html())
    assert "HTML page" in cli("pull", f"{registry.host}/team/tiny").error(5)


@pytest.mark.parametrize(
    ("answer", "text"), [(b"other", "instead of 160,000"), (b"x" * 160_000, "with the digest")]
)
def test_wrong_bytes_are_damage(cli, registry, answer, text):
    layer = serve_model(registry)["layers"][0]["digest"]
    registry.instead("GET", layer, says(200, answer))
    assert text in cli("pull", f"{registry.host}/team/tiny:v1").error(4)


def test_a_manifest_over_4_mib_is_refused(cli, registry):
    raw = json.dumps(serve_model(registry)).encode() + b" " * limits.MANIFEST
    registry.add_manifest("team/tiny", raw, "v1")
    assert "larger than" in cli("pull", f"{registry.host}/team/tiny:v1").error(2)


def test_a_layer_whose_digest_is_no_sha256_is_refused(cli, registry):
    value = serve_model(registry)
    value["layers"][0]["digest"] = "sha512:" + "a" * 128
    registry.add_manifest("team/tiny", json.dumps(value).encode(), "v1")
    assert "not a digest we accept" in cli("pull", f"{registry.host}/team/tiny:v1").error(2)


def test_what_a_registry_says_cannot_write_to_the_terminal(cli, registry):
    body = b'{"errors":[{"code":"X","message":"\\u001b[2Jgone\\nError: fake\\u0007"}]}'
    registry.instead("GET", "/manifests/", says(500, body))
    done = cli("pull", f"{registry.host}/team/tiny")
    done.error(5)
    assert "\x1b" not in done.err
    assert "\x07" not in done.err


def test_a_full_disk_is_called_so(cli, registry, monkeypatch):
    serve_model(registry)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = cli("pull", f"{registry.host}/team/tiny:v1")
    assert "no space left for the store" in done.error(8)
    assert "MODELPACK_MODELS" in done.err


def test_a_store_that_cannot_be_written_is_named(cli, registry, tmp_path, monkeypatch):
    serve_model(registry)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MODELPACK_MODELS", str(tmp_path / "file" / "models"))
    done = cli("pull", f"{registry.host}/team/tiny:v1")
    assert f"cannot write to the store {tmp_path}/file/models" in done.error(8)


def test_a_digest_that_nobody_has_is_not_found(cli, registry):
    digest = digest_of(b"nothing")
    assert "does not have model" in cli("pull", f"{registry.host}/team/tiny@{digest}").error(3)
