"""`docs/format.md`: what it shows is what a build makes, and what it says is enough to read it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from docs import examples
from modelpack import limits
from modelpack.formats.artifact import Role
from modelpack.formats.modelspec import PATHS
from modelpack.gguf.reader import read_header
from modelpack.gguf.split import SPLIT_KEYS
from modelpack.ops.push import push
from modelpack.server.registry import RegistrySettings, running

TEXT = examples.DOCUMENT.read_text(encoding="utf-8")
SCHEMA = json.loads((examples.ROOT / "tests/data/modelpack-config-schema.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def made(folder):
    return examples.parts(folder)


@pytest.fixture(scope="module")
def whole(folder, made):
    return examples.make(folder / "whole")


@pytest.fixture(scope="module")
def layered(folder, made):
    return examples.make_layered(folder / "layered")


def section(title):
    """Return the text below the heading *title*."""
    return re.split(rf"^#+ {re.escape(title)}$", TEXT, flags=re.M)[1].split("\n#")[0]


def first_column(text):
    return re.findall(r"^\| `([^`|]+)` \|", text, flags=re.M)


@pytest.mark.parametrize("name", sorted(examples.marked(TEXT)))
def test_a_part_of_the_document_is_what_a_build_makes(made, name):
    assert examples.marked(TEXT)[name] == made[name], "run: python tests/docs/examples.py"


def test_every_part_that_is_made_stands_in_the_document(made):
    assert set(examples.marked(TEXT)) == set(made)


def test_configs_follow_the_schema_of_the_specification(whole, layered):
    for example in (whole, layered):
        Draft202012Validator(SCHEMA).validate(json.loads(example.config))


def test_the_table_of_layers_has_every_role_in_order_with_its_path():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("Layers"), flags=re.M)
    assert [role for role, _ in rows] == [role.value for role in Role]
    assert {Role(role): path.strip("`") for role, path in rows if "`modelpack/" in path} == PATHS


def test_the_example_has_every_role_but_other(whole):
    roles = [layer.annotations["io.modelpack.role"] for layer in whole.manifest.layers]
    assert list(dict.fromkeys(roles)) == [role.value for role in Role if role is not Role.OTHER]


def test_the_tables_of_annotations_are_complete(whole, layered):
    shown = set(first_column(section("Annotations")))
    written = {
        key
        for example in (whole, layered)
        for layer in example.manifest.layers
        for key in layer.annotations
    }
    assert shown == written


def test_the_table_of_the_config_has_every_member_that_is_written(whole):
    example = examples.make(
        whole.folder.parent / "created",
        "FROM ./example.gguf\nTEMPLATE {{ .Tools }}{{ .Thinking }}",
        created="2026-01-31T12:00:00Z",
    )
    written = {
        path for config in (whole.config, example.config) for path in members(json.loads(config))
    }
    assert set(first_column(section("Config"))) == written


def members(value, prefix=""):
    for key, item in value.items():
        if isinstance(item, dict):
            yield from members(item, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_what_is_written_is_in_the_one_form(whole, layered):
    for example in (whole, layered):
        for raw in (example.manifest.raw, example.config):
            value = json.loads(raw)
            assert raw == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        for layer in example.manifest.layers:
            assert list(layer.annotations) == sorted(layer.annotations)


def test_times_modes_and_places_of_files_change_nothing(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "write_files", lambda _folder: None)
    for path in whole.folder.iterdir():
        if path.is_file():
            os.utime(shutil.copyfile(path, tmp_path / path.name), (1, 1))
            (tmp_path / path.name).chmod(0o600)
    assert examples.make(tmp_path).manifest.raw == whole.manifest.raw


def test_the_source_is_rebuilt_by_the_steps_of_the_document(layered, whole):
    layers = [
        layer
        for layer in layered.manifest.layers
        if layer.annotations["io.modelpack.role"] == "model"
    ]
    source = rebuild([layered.file(layer) for layer in reversed(layers)])
    said = layers[0].annotations
    assert f"sha256:{hashlib.sha256(source).hexdigest()}" == said["io.modelpack.source.digest"]
    assert str(len(source)) == said["io.modelpack.source.size"]
    assert source == (whole.folder / said["io.modelpack.source.filename"]).read_bytes()


def rebuild(paths):
    """Follow the steps of "The way back"; each comment has the number of its step."""
    shards = sorted(((read_header(p), p.read_bytes()) for p in paths), key=lambda s: number(s[0]))
    first = shards[0][0]
    assert [number(header) for header, _ in shards] == list(range(len(shards)))  # 1
    rows = [(t, header, data) for header, data in shards for t in header.tensors]  # 2
    order = first.value("modelpack.split.order")  # 3
    placed = dict(zip(order.value if order else range(len(rows)), rows, strict=True))
    rows = [placed[position] for position in range(len(rows))]
    kept, count = metadata(first)
    table, tensors, offset = b"", b"", 0
    for tensor, header, data in rows:
        room = -(-tensor.size // first.alignment) * first.alignment
        name = tensor.name.encode()
        rank = len(tensor.shape)
        table += struct.pack("<Q", len(name)) + name  # 7
        table += struct.pack(f"<I{rank}QIQ", rank, *tensor.shape, tensor.type, offset)
        start = header.data_offset + tensor.offset
        tensors += data[start : start + room]  # 9
        offset += room  # 4
    head = b"GGUF" + struct.pack("<IQQ", first.version, len(rows), count) + kept + table  # 5, 6
    head += bytes(-len(head) % first.alignment)  # 8
    return (head + tensors)[: first.integer("modelpack.split.size")]  # 10


def number(header):
    return header.integer("split.no")


def metadata(header):
    """Return the bytes of the metadata without the keys of a split, and how many keys these are."""
    begins = [header.raw.index(struct.pack("<Q", len(k)) + k.encode()) for k in header.fields]
    ends = [*begins[1:], header.metadata_end]
    kept = [
        header.raw[begin:end]
        for key, begin, end in zip(header.fields, begins, ends, strict=True)
        if key not in SPLIT_KEYS
    ]
    return b"".join(kept), len(kept)


def test_the_table_of_keys_is_complete():
    table = section("Keys").split("<!--")[0]
    assert tuple(first_column(table)) == SPLIT_KEYS


def test_the_bounds_are_those_of_the_code():
    assert f"{limits.LAYERS:,} layers" in TEXT
    assert f"at most {limits.LAYERS_WRITTEN - 50} groups" in " ".join(TEXT.split())
    assert f"below {limits.LAYERS_WRITTEN} layers" in " ".join(TEXT.split())
    sizes = (limits.MANIFEST, limits.CONFIG, limits.TEXT_LAYER)
    assert [size // limits.MiB for size in sizes] == [4, 4, 16]


@pytest.mark.client
def test_oras_pull_writes_every_layer_to_its_file_path(whole, layered, tmp_path):
    oras = shutil.which("oras") or shutil.which("oras", path=str(examples.ROOT / ".tools/bin"))
    if oras is None:
        pytest.skip("oras is not installed")
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as url:
        for name, example in (("whole", whole), ("layered", layered)):
            target = f"{url.removeprefix('http://')}/docs/{name}:1"
            push(example.context, "example", target)
            out = tmp_path / name
            command = [oras, "pull", "--plain-http", target, "-o", str(out)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
            paths = {
                layer.annotations["org.cncf.model.filepath"]: example.read(layer)
                for layer in example.manifest.layers
            }
            assert found == set(paths)
            assert all((out / path).read_bytes() == data for path, data in paths.items())


def test_the_folder_of_the_example_is_where_the_document_says():
    assert f"`{Path(examples.__file__).relative_to(examples.ROOT)}`" in TEXT
