"""`list`, `show`, `cp`, `rm` and `export`: what works on the store alone."""

from __future__ import annotations

import os
import re

import pytest
from support.ggufs import write_model
from support.models import blob_names

from modelpack.oci.digest import Digest


def test_an_empty_store_lists_its_head(cli):
    assert cli("list").out == "NAME    ID    SIZE    MODIFIED    \n"
    assert cli("list", "--json").json == []


def test_list_prints_a_table_as_ollama_does(cli, built):
    head, row = cli("list").lines
    assert head.split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    pattern = rf"tiny:latest    {built[7:19]}    \d+ KB +(Less than a|\d+) seconds? ago    "
    assert re.fullmatch(pattern, row)
    assert head.index("ID") == row.index(built[7:19])


def test_list_as_json_has_numbers(cli, built):
    (model,) = cli("ls", "--json").json
    assert (model["name"], model["digest"]) == ("tiny:latest", built)
    assert isinstance(model["size"], int)
    assert isinstance(model["modified"], float)


def test_list_shows_only_names_with_the_prefix(cli, built):
    cli("cp", "tiny", "other")
    assert [m["name"] for m in cli("list", "--json", "TI").json] == ["tiny:latest"]


def test_list_warns_of_damaged_and_foreign_files_and_shows_the_others(cli, built, store):
    manifests = store / "manifests"
    (manifests / "local" / "broken").mkdir()
    (manifests / "local" / "broken" / "latest").write_text("{")
    (manifests / "local" / "tiny" / ".DS_Store").write_text("")
    done = cli("list")
    assert [line.split()[0] for line in done.lines] == ["NAME", "tiny:latest"]
    warnings = sorted(done.err.splitlines())
    assert [line.split(",")[0] for line in warnings] == [
        "Warning: damaged manifest",
        "Warning: not a model name",
    ]
    assert done.code == 0


def test_show_prints_the_blocks(cli, built):
    text = cli("show", "tiny").out
    blocks = re.findall(r"^  (\w+)$", text, re.MULTILINE)
    assert blocks == ["Model", "Capabilities", "Parameters", "System", "Layers"]
    assert re.search(r"^    architecture +llama$", text, re.MULTILINE)
    assert "    temperature    0.5" in text


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--system", "Be brief.\n"),
        ("--parameters", f"{'temperature':<30} 0.5\n"),
        ("--template", "\n"),
        ("--license", "\n"),
    ],
)
def test_show_prints_one_field(cli, built, flag, text):
    assert cli("show", flag, "tiny").out == text


def test_show_prints_licences_and_templates(cli, folder):
    text = b'FROM weights.gguf\nTEMPLATE "{{ .Prompt }}"\nLICENSE MIT\nLICENSE BSD\n'
    cli("build", "-f", "-", "-t", "tiny", folder, stdin=text)
    assert cli("show", "--license", "tiny").out == "MIT\n\nBSD\n"
    assert cli("show", "--template", "tiny").out == "{{ .Prompt }}\n"


def test_show_as_json_has_everything(cli, built):
    value = cli("show", "--json", "tiny").json
    assert (value["name"], value["digest"]) == ("tiny:latest", built)
    assert value["details"]["family"] == "llama"
    assert value["parameters"] == {"temperature": 0.5}
    assert value["system"] == "Be brief."
    assert [layer["role"] for layer in value["layers"]] == ["model", "system", "params"]


def test_the_shown_modelfile_builds_the_same_model(cli, built, tmp_path):
    modelfile = cli("show", "--modelfile", "tiny").out
    again = cli("build", "--json", "-f", "-", "-t", "again", tmp_path, stdin=modelfile.encode())
    first = {layer["digest"] for layer in cli("show", "--json", "tiny").json["layers"]}
    assert {layer["digest"] for layer in again.json["layers"]} == first


def test_show_takes_one_flag_at_a_time(cli, built):
    assert "only one of" in cli("show", "--system", "--json", "tiny").error(2)


def test_cp_gives_a_second_name(cli, built, store):
    before = blob_names(store)
    assert cli("cp", "tiny", "team/other:v2").out == "copied 'tiny' to 'team/other:v2'\n"
    assert {m["digest"] for m in cli("list", "--json").json} == {built}
    assert blob_names(store) == before


def test_cp_refuses_a_digest_and_a_missing_source(cli, built):
    assert "digest" in cli("cp", "tiny", f"other@{built}").error(2)
    assert "'tinny' is not in the store" in cli("cp", "tinny", "other").error(3)


def test_rm_removes_several_and_frees_the_blobs_of_the_last(cli, built, store):
    cli("cp", "tiny", "other")
    done = cli("rm", "tiny")
    assert (done.out, done.err) == ("deleted 'tiny:latest'\n", "freed 0 B\n")
    cli("cp", "other", "third")
    done = cli("rm", "other", "third")
    assert done.lines == ["deleted 'other:latest'", "deleted 'third:latest'"]
    assert done.err.startswith("freed ")
    assert blob_names(store) == set()


def test_rm_removes_none_where_one_is_missing(cli, built):
    done = cli("rm", "tiny", "tinny")
    assert "'tinny'" in done.error(3)
    assert "hint: did you mean tiny?" in done.err.replace(":latest", "")
    assert [m["name"] for m in cli("list", "--json").json] == ["tiny:latest"]


def test_a_model_that_is_not_there_has_near_names(cli, built):
    done = cli("show", "tini")
    assert done.error(3) == "Error: model 'tini' is not in the store"
    assert re.search(r"^hint: did you mean .*tiny", done.err, re.MULTILINE)
    assert "modelpack list" in cli("show", "entirely-different").err


@pytest.mark.parametrize("size", ["none", "40KiB"])
def test_export_gives_back_the_very_file(cli, folder, tmp_path, size):
    cli("build", "-t", "tiny", "--layer-size", size, folder)
    target = tmp_path / "back.gguf"
    done = cli("export", "-q", "tiny", target)
    source = (folder / "weights.gguf").read_bytes()
    assert target.read_bytes() == source
    assert done.out == f"{Digest.of(source)}\n"
    (value,) = cli("export", "--json", "tiny", target).json
    assert value == {"path": str(target), "digest": str(Digest.of(source)), "size": len(source)}


def test_export_refuses_folders_that_are_there_or_are_not(cli, built, tmp_path):
    assert "is a folder" in cli("export", "tiny", tmp_path).error(2)
    assert "cannot write" in cli("export", "tiny", tmp_path / "no" / "x.gguf").error(8)


def test_export_of_a_damaged_model_leaves_no_file(cli, built, store, tmp_path):
    digest = cli("show", "--json", "tiny").json["layers"][0]["digest"]
    blob = store / "blobs" / digest.replace(":", "-")
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    (tmp_path / "out").mkdir()
    assert "does not give back" in cli("export", "tiny", tmp_path / "out" / "x.gguf").error(4)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_may_be_built_on_another(cli, built, tmp_path):
    write_model(tmp_path / "unused.gguf")
    cli("build", "-f", "-", "-t", "next", tmp_path, stdin=b"FROM tiny\nSYSTEM Be long.\n")
    assert cli("show", "--system", "next").out == "Be long.\n"
    assert cli("show", "--parameters", "next").out == cli("show", "--parameters", "tiny").out


def test_a_user_without_a_home_needs_to_name_the_store_and_nothing_else(cli, built, monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert "tiny" in cli("list").out
    monkeypatch.setenv("MODELPACK_CONFIG", "~/config.yaml")
    assert "no home folder for ~/config.yaml" in cli("list").error(2)
    monkeypatch.delenv("MODELPACK_CONFIG")
    monkeypatch.setenv("MODELPACK_API_KEYS_FILE", "~/keys")
    for command in (("serve",), ("keys", "add", "ci"), ("keys", "list")):
        assert "no home folder for ~/keys" in cli(*command).error(2)
    monkeypatch.delenv("MODELPACK_MODELS")
    assert "no home folder to keep models in" in cli("list").error(2)
