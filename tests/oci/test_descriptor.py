from __future__ import annotations

import pytest

from modelpack.errors import DigestError, ManifestError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest

GOOD = {"mediaType": "a/b", "digest": str(Digest.of(b"x")), "size": 1}


def test_descriptor_describes_data():
    blob = Descriptor.of(b"weights", "a/b", {"k": "v"})
    assert (blob.size, blob.digest, blob.annotations) == (7, Digest.of(b"weights"), {"k": "v"})


def test_descriptor_reads_what_it_writes():
    blob = Descriptor("a/b", Digest.of(b"x"), 1, {"z": "1", "a": "2"}, "c/d")
    assert Descriptor.from_json(blob.to_json(), "it") == blob


def test_descriptor_is_written_in_the_order_of_the_specification():
    value = Descriptor("a/b", Digest.of(b"x"), 1, {"z": "1", "a": "2"}).to_json()
    assert list(value) == ["mediaType", "digest", "size", "annotations"]
    assert list(value["annotations"]) == ["a", "z"]


def test_descriptor_may_be_empty_and_huge():
    assert Descriptor.from_json({**GOOD, "size": 0}, "it").size == 0
    assert Descriptor.from_json({**GOOD, "size": 2**63 - 1}, "it").size == 2**63 - 1


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 2**63},
        {"size": "1"},
        {"size": 1.0},
        {"size": True},
        {"size": None},
        {"mediaType": ""},
        {"mediaType": 7},
        {"mediaType": None},
        {"digest": None},
        {"digest": 7},
        {"annotations": []},
        {"annotations": {"k": 1}},
        {"annotations": {"k": None}},
        {"artifactType": 7},
    ],
)
def test_descriptor_refuses_members_of_the_wrong_type(change):
    with pytest.raises(ManifestError, match="the layer"):
        Descriptor.from_json({**GOOD, **change}, "the layer")


@pytest.mark.parametrize("value", [None, [], "x", 7, {}])
def test_descriptor_refuses_what_is_not_an_object_with_members(value):
    with pytest.raises(ManifestError):
        Descriptor.from_json(value, "it")


@pytest.mark.parametrize("digest", ["sha512:abc", "sha256:ABC", "../../etc/passwd"])
def test_descriptor_refuses_digests_that_could_be_paths_or_other_algorithms(digest):
    with pytest.raises(DigestError):
        Descriptor.from_json({**GOOD, "digest": digest}, "it")
