"""What a check finds, and what a store costs."""

from __future__ import annotations

import pytest
from support.models import add_blob, manifest_of

from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import encode
from modelpack.store.fsck import Condition, condition_of, examine, judge
from modelpack.store.local import LocalStore
from modelpack.store.survey import survey
from modelpack.store.usage import measure


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "models")


def needs_of(manifests):
    return {name: manifest.blobs for name, manifest in manifests.items()}


def conditions_of(*manifests):
    return {b.digest: Condition(b.size) for m in manifests for b in m.blobs}


def test_whole_blobs_are_no_trouble(store):
    manifest = manifest_of(store, b"a", b"b")
    assert judge(needs_of({"m": manifest}), conditions_of(manifest)) == []


def test_a_missing_blob_is_named_with_all_that_need_it(store):
    first, second = manifest_of(store, b"a", b"shared"), manifest_of(store, b"shared")
    conditions = conditions_of(first, second)
    del conditions[Digest.of(b"shared")]
    (trouble,) = judge(needs_of({"first": first, "second": second}), conditions)
    assert (trouble.kind, trouble.models) == ("missing", ("first", "second"))
    assert "needed by first, second" in str(trouble)


def test_a_damaged_blob_is_named_once_and_one_that_nobody_needs_too(store):
    manifest = manifest_of(store, b"a")
    stray = Digest.of(b"stray")
    bad = {Digest.of(b"a"): Condition(1, "is damaged"), stray: Condition(5, "is damaged")}
    troubles = judge(needs_of({"m": manifest}), conditions_of(manifest) | bad)
    assert {t.blob.digest: t.models for t in troubles} == {Digest.of(b"a"): ("m",), stray: ()}
    assert {t.kind for t in troubles} == {"damaged"}


def test_a_manifest_that_promises_another_size_is_trouble(store):
    config = add_blob(store, b"{}")
    layer = Descriptor("application/x", store.add(b"abc"), 4)
    manifest = encode(artifact_type="x/y", config=config, layers=[layer], annotations={})
    conditions = {config.digest: Condition(2), layer.digest: Condition(3)}
    (trouble,) = judge(needs_of({"m": manifest}), conditions)
    assert (trouble.kind, trouble.blob.digest) == ("size", layer.digest)


def test_a_file_is_hashed_to_its_end(store):
    data = bytes(range(256)) * 3_000
    blob = add_blob(store, data)
    path = store.path(blob.digest)
    assert condition_of(path, blob.digest) == Condition(len(data))
    path.write_bytes(data[:-1] + b"x")
    assert "damaged" in condition_of(path, blob.digest).problem
    path.unlink()
    assert condition_of(path, blob.digest).kind == "missing"
    path.mkdir()
    assert condition_of(path, blob.digest).kind == "unreadable"


def test_examining_reports_every_byte_once_and_never_falls(store):
    blobs = [add_blob(store, bytes([i]) * (i * 700_000)) for i in range(6)]
    events = []
    sizes = {blob.digest: blob.size for blob in blobs}
    found = examine(store.layout, sizes, events.append)
    assert found == {digest: Condition(size) for digest, size in sizes.items()}
    completed = [event.completed for event in events]
    assert completed == sorted(completed)
    assert completed[-1] == events[-1].total == sum(sizes.values())
    assert [event.done for event in events].count(True) == 1


def test_a_failing_report_ends_the_check(store):
    blob = add_blob(store, bytes(3_000_000))

    def fail(_event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(store.layout, {blob.digest: blob.size}, fail)


def test_a_survey_tells_blobs_from_foreign_files(store):
    blob = add_blob(store, b"a")
    foreign = [store.layout.blobs / "x", store.layout.root / "y", store.layout.manifests / "z"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("hello")
    folder = store.layout.blobs / f"sha256-{'a' * 64}"
    folder.mkdir()
    found = survey(store.layout)
    assert found.blobs == {blob.digest: 1}
    assert found.foreign == tuple(sorted([*foreign, folder]))


def test_a_name_costs_what_is_its_own_and_what_it_shares(store):
    first, second = manifest_of(store, b"aaa", b"shared"), manifest_of(store, b"shared", b"b")
    sizes = {b.digest: b.size for m in (first, second) for b in m.blobs}
    usage = measure(needs_of({"a": first, "b": second}), sizes | {Digest.of(b"stray"): 5}, [10, 1])
    rows = [(cost.name, cost.size, cost.shared, cost.unique) for cost in usage.models]
    assert rows == [("a", 11, 8, 3), ("b", 9, 8, 1)]
    assert (usage.needed, usage.unneeded, usage.leftovers, usage.total) == (12, 5, 11, 28)


def test_two_names_of_one_manifest_share_all_of_it(store):
    manifest = manifest_of(store, b"aaa")
    sizes = {b.digest: b.size for b in manifest.blobs}
    usage = measure(needs_of({"a": manifest, "b": manifest}), sizes, [])
    assert [(cost.shared, cost.unique) for cost in usage.models] == [(5, 0), (5, 0)]
    assert usage.total == 5


def test_a_layer_that_is_listed_twice_costs_once_and_a_missing_one_nothing(store):
    manifest = manifest_of(store, b"aaa", b"aaa", b"gone")
    usage = measure(needs_of({"m": manifest}), {Digest.of(b"aaa"): 3}, [])
    assert [cost.size for cost in usage.models] == [3]
