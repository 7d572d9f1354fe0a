from __future__ import annotations

import os

import pytest
from support.ggufs import gguf_bytes, metadata, tensor, write_model, write_split
from support.models import BY_TENSOR, LAYERED, WHOLE, context_in, make, opened

from modelpack.errors import (
    InputError,
    IntegrityError,
    NotFoundError,
    StoreError,
)
from modelpack.formats.artifact import Role
from modelpack.gguf.values import Value
from modelpack.oci.digest import Digest
from modelpack.ops.export import export

PARTS = [[tensor("b"), tensor("a")], [tensor("c", (3,))], [tensor("d")]]


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path / "models")


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def files_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("cut", [LAYERED, WHOLE, BY_TENSOR])
@pytest.mark.parametrize("merge", [False, True])
def test_a_model_comes_back_byte_for_byte(context, tmp_path, out, cut, merge):
    data = write_model(tmp_path / "m.gguf", general__alignment=Value.uint32(64))
    make(context, "FROM m.gguf", tmp_path, cut=cut)
    (written,) = export(context, "m", out / "back.gguf", merge=merge)
    assert (out / "back.gguf").read_bytes() == data
    assert (written.path, written.size) == (out / "back.gguf", len(data))
    assert written.digest == Digest.of(data)
    assert files_in(out) == ["back.gguf"]


def test_a_model_whose_last_padding_is_missing_comes_back(context, tmp_path, out):
    data = gguf_bytes(metadata(), [tensor("blk.1.a", (5000,)), tensor("blk.0.a", (5001,))])[:-28]
    (tmp_path / "m.gguf").write_bytes(data)
    make(context, "FROM m.gguf", tmp_path, cut=LAYERED)
    assert len(opened(context).files(Role.MODEL)) == 3
    export(context, "m", out / "back.gguf")
    assert (out / "back.gguf").read_bytes() == data


def test_a_derived_model_comes_back(context, tmp_path, out):
    data = write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path, "base", cut=LAYERED)
    make(context, "FROM base\nSYSTEM x", tmp_path, "derived")
    export(context, "derived", out / "back.gguf")
    assert (out / "back.gguf").read_bytes() == data


def test_a_split_model_comes_back_as_its_files(context, tmp_path, out):
    shards = write_split(tmp_path / "set", "m", PARTS)
    make(context, "FROM set", tmp_path)
    written = export(context, "m", out / "back.gguf")
    assert files_in(out) == [f"back-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert [w.path.read_bytes() for w in written] == [s.read_bytes() for s in shards]


def test_a_split_model_can_be_merged(context, tmp_path, out):
    write_split(tmp_path / "set", "m", PARTS)
    make(context, "FROM set", tmp_path)
    export(context, "m", out / "back.gguf", merge=True)
    assert (out / "back.gguf").read_bytes() == gguf_bytes(
        metadata(), [row for part in PARTS for row in part]
    )


def damage(context, position: int) -> None:
    path = opened(context).files(Role.MODEL)[position]
    data = path.read_bytes()
    at = data.find(b"Tiny") if position == 0 and b"Tiny" in data else len(data) - 1
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize("position", [0, 1, -1])
def test_a_damaged_layered_model_is_refused_and_leaves_nothing(context, tmp_path, out, position):
    write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path, cut=LAYERED)
    damage(context, position)
    with pytest.raises(IntegrityError):
        export(context, "m", out / "back.gguf")
    assert files_in(out) == []


@pytest.mark.parametrize("at", [0, 4, 8, 30, 60])
def test_a_layer_with_a_damaged_header_is_refused_as_damage(context, tmp_path, out, at):
    write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path, cut=LAYERED)
    path = opened(context).files(Role.MODEL)[1]
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    with pytest.raises(IntegrityError):
        export(context, "m", out / "back.gguf")
    assert files_in(out) == []


def test_a_damaged_whole_model_is_refused_and_leaves_nothing(context, tmp_path, out):
    write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path, cut=WHOLE)
    damage(context, 0)
    (out / "back.gguf").write_bytes(b"what was there")
    with pytest.raises(IntegrityError) as caught:
        export(context, "m", out / "back.gguf")
    assert caught.value.hint
    assert files_in(out) == ["back.gguf"]
    assert (out / "back.gguf").read_bytes() == b"what was there"


@pytest.mark.parametrize("merge", [False, True])
def test_a_damaged_split_model_is_refused_and_leaves_nothing(context, tmp_path, out, merge):
    write_split(tmp_path / "set", "m", PARTS)
    make(context, "FROM set", tmp_path)
    damage(context, 2)
    with pytest.raises(IntegrityError):
        export(context, "m", out / "back.gguf", merge=merge)
    assert files_in(out) == []


def test_a_model_with_a_missing_blob_is_refused(context, tmp_path, out):
    write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path, cut=LAYERED)
    opened(context).files(Role.MODEL)[1].unlink()
    with pytest.raises(IntegrityError) as caught:
        export(context, "m", out / "back.gguf")
    assert "modelpack pull" in str(caught.value.hint)
    assert files_in(out) == []


def test_an_unknown_model_is_not_found(context, out):
    with pytest.raises(NotFoundError):
        export(context, "nobody", out / "back.gguf")


def test_a_place_that_cannot_be_written_is_a_clear_error(context, tmp_path, out):
    write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path)
    with pytest.raises(InputError, match="is a folder"):
        export(context, "m", out)
    with pytest.raises(StoreError, match="cannot write"):
        export(context, "m", out / "no/such/folder.gguf")


def test_a_disk_that_fills_up_leaves_nothing(context, tmp_path, out, monkeypatch):
    write_model(tmp_path / "m.gguf")
    make(context, "FROM m.gguf", tmp_path)

    def full(_descriptor, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        export(context, "m", out / "back.gguf")
    monkeypatch.undo()
    assert files_in(out) == []


def test_an_export_reports_its_progress(context, tmp_path, out):
    data = write_model(tmp_path / "m.gguf", width=256)
    make(context, "FROM m.gguf", tmp_path, cut=LAYERED)
    events = []
    export(context, "m", out / "back.gguf", report=events.append)
    counts = [event.completed for event in events]
    assert counts == sorted(counts)
    assert counts[-1] == events[-1].total == len(data)
    assert events[-1].done
