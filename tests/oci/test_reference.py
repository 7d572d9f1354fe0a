from __future__ import annotations

import hashlib

import pytest

from modelpack.errors import InputError, ReferenceFormatError
from modelpack.oci.digest import Digest
from modelpack.oci.reference import Reference

HEX = hashlib.sha256(b"manifest").hexdigest()
SHA = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag"),
    [
        ("model", "", "model", "latest"),
        ("model:8b", "", "model", "8b"),
        ("team/model", "", "team/model", "latest"),
        ("a/b/c/d:v1.0_rc-2", "", "a/b/c/d", "v1.0_rc-2"),
        ("ghcr.io/team/model", "ghcr.io", "team/model", "latest"),
        ("localhost/model", "localhost", "model", "latest"),
        ("localhost:5000/model:1", "localhost:5000", "model", "1"),
        ("registry:5000/model", "registry:5000", "model", "latest"),
        ("127.0.0.1:5000/team/model:x", "127.0.0.1:5000", "team/model", "x"),
        ("[::1]/model", "[::1]", "model", "latest"),
        ("[2001:db8::1]:5000/a/b:t", "[2001:db8::1]:5000", "a/b", "t"),
        ("host.example:65535/m", "host.example:65535", "m", "latest"),
        ("Host.Example/m", "Host.Example", "m", "latest"),
        ("a.b-c_d__e---f/g", "a.b-c_d__e---f", "g", None),
        ("team/a.b-c_d__e---f", "", "team/a.b-c_d__e---f", "latest"),
        ("model:" + "x" * 128, "", "model", "x" * 128),
        ("model:_", "", "model", "_"),
        ("model:UPPER.Case-1", "", "model", "UPPER.Case-1"),
        ("0/1:2", "", "0/1", "2"),
    ],
)
def test_reference_has_parts(text, host, repository, tag):
    if tag is None:
        with pytest.raises(ReferenceFormatError):
            Reference.parse(text)
        return
    assert Reference.parse(text) == Reference(host, repository, tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "/",
        "@",
        ":latest",
        "model:",
        "model/",
        "/model",
        "a//b",
        "Model",
        "team/Model:1",
        "..",
        "../model",
        "a/../b",
        "a/./b",
        "a/..:x",
        ".hidden",
        "-model",
        "model-",
        "a..b",
        "a___b",
        "a._b",
        "a b",
        "model\n",
        "model:tag\n",
        "mödel",
        "٣",
        "model:-tag",
        "model:.tag",
        "model:a/b",
        "model:a b",
        "model:ä",
        "model:" + "x" * 129,
        "model:tag:tag",
        "a\\b",
        "a\0b",
        "ghcr.io/",
        "ghcr.io/:tag",
        "ghcr.io//model",
        "host.example:/model",
        "host.example:0x50/model",
        "host.example:65536/model",
        "host.example:123456/model",
        "host..example/model",
        "-host.example/model",
        "../../etc/passwd",
        "host_name.example/model",
        "[::1/model",
        "[::1]x/model",
        "user@host.example/model",
        "https://ghcr.io/model",
        f"model@{HEX}",
        "model@sha256:abc",
        f"model@sha512:{HEX}",
        f"model@{SHA}@{SHA}",
        f"@{SHA}",
        f"model:@{SHA}",
        "x" * 300,
        "a/" * 150 + "a",
        "host.example/" + "x" * 250,
        "x" * 1_000_000,
    ],
)
def test_reference_refuses_text_that_is_not_one(text):
    with pytest.raises(InputError) as caught:
        Reference.parse(text)
    assert len(str(caught.value)) < 400
    assert caught.value.hint


def test_reference_says_how_to_write_upper_case():
    with pytest.raises(ReferenceFormatError) as caught:
        Reference.parse("ghcr.io/Team/Llama:8B")
    assert "upper case" in str(caught.value)
    assert "ghcr.io/team/llama" in str(caught.value.hint)


def test_reference_may_be_as_long_as_registries_allow():
    repository = "x" * (255 - len("ghcr.io/"))
    assert Reference.parse(f"ghcr.io/{repository}").repository == repository
    with pytest.raises(ReferenceFormatError, match="255"):
        Reference.parse(f"ghcr.io/{repository}x")


def test_reference_with_a_digest_needs_no_tag():
    reference = Reference.parse(f"ghcr.io/team/model@{SHA}")
    assert reference == Reference("ghcr.io", "team/model", "", Digest(HEX))
    assert reference.name == "ghcr.io/team/model"
    assert reference.locator == SHA


def test_reference_may_have_tag_and_digest():
    reference = Reference.parse(f"model:8b@{SHA}")
    assert (reference.tag, reference.digest) == ("8b", Digest(HEX))
    assert reference.locator == SHA
    assert reference.name == "model:8b"


@pytest.mark.parametrize(
    "text", ["model:latest", "[::1]:5000/a/b:t", f"ghcr.io/a@{SHA}", f"ghcr.io/a:t@{SHA}"]
)
def test_reference_reads_what_it_writes(text):
    assert str(Reference.parse(text)) == text
    assert Reference.parse(str(Reference.parse(text))) == Reference.parse(text)


def test_reference_without_a_host_moves_onto_a_registry():
    reference = Reference.parse("model:8b")
    assert str(reference.on("ghcr.io")) == "ghcr.io/model:8b"
    assert str(reference.on("localhost:5000/team/models/")) == "localhost:5000/team/models/model:8b"
    assert reference.on("") == reference


def test_reference_with_a_host_stays_where_it_is():
    reference = Reference.parse("quay.io/model")
    assert reference.on("ghcr.io/team") == reference


def test_reference_keeps_its_digest_on_a_registry():
    assert str(Reference.parse(f"m@{SHA}").on("ghcr.io")) == f"ghcr.io/m@{SHA}"


@pytest.mark.parametrize(
    "registry", ["myhost", "../..", "ghcr.io/Team", "ghcr.io/../..", "host.example:99999", "a b.c"]
)
def test_reference_refuses_a_registry_that_is_not_one(registry):
    with pytest.raises(ReferenceFormatError):
        Reference.parse("model").on(registry)
