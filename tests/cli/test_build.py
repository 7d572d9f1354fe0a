"""`modelpack build`."""

from __future__ import annotations

import json

import pytest


def names(cli):
    return [model["name"] for model in cli("list", "--json").json]


def test_build_prints_the_name_and_the_digest(cli, folder):
    done = cli("build", "-t", "tiny", folder)
    assert done.code == 0
    name, digest = done.out.split()
    assert (name, len(digest)) == ("tiny:latest", 71)


def test_quiet_prints_only_the_digest(cli, folder):
    done = cli("build", "-q", "-t", "tiny", folder)
    assert done.out.startswith("sha256:")
    assert (len(done.out), done.err) == (72, "")


def test_json_prints_one_document_and_progress_lines_beside_it(cli, folder):
    done = cli("build", "--json", "-t", "tiny", "-t", "tiny:v2", folder)
    value = done.json
    assert value["names"] == ["tiny:latest", "tiny:v2"]
    assert [layer["mediaType"].rsplit(".", 1)[1] for layer in value["layers"]] == ["raw"] * 3
    assert value["size"] > 100_000
    events = [json.loads(line) for line in done.err.splitlines()]
    assert {event["action"] for event in events} <= {"build", "hash", "status"}
    assert any(event["done"] for event in events)


def test_piped_progress_is_lines(cli, folder):
    lines = cli("build", "-t", "tiny", folder).err.splitlines()
    assert lines
    assert all("\r" not in line and "\x1b" not in line for line in lines)


def test_the_default_name_is_the_folders(cli, folder):
    assert cli("build", folder).out.startswith("tiny-model:latest  sha256:")


def test_the_folder_is_the_current_one_by_default(cli, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert cli("build").out.startswith("tiny-model:latest  ")


def test_a_modelfile_may_have_another_name(cli, folder):
    (folder / "Modelfile").rename(folder / "other.txt")
    assert cli("build", "-t", "tiny", "-f", folder / "other.txt").code == 0


def test_context_moves_the_folder_of_the_paths(cli, folder, tmp_path):
    modelfile = tmp_path / "elsewhere"
    (folder / "Modelfile").rename(modelfile)
    assert cli("build", "-f", modelfile, "-t", "tiny").error(3).endswith("weights.gguf")
    assert cli("build", "-f", modelfile, "-t", "tiny", folder).code == 0


def test_build_reads_a_modelfile_from_stdin(cli, folder):
    done = cli("build", "-f", "-", "-t", "tiny", folder, stdin=b"FROM weights.gguf\n")
    assert done.out.startswith("tiny:latest  sha256:")


def test_the_digest_is_written_to_a_file(cli, folder, tmp_path):
    done = cli("build", "-q", "-t", "tiny", "--digest-file", tmp_path / "digest", folder)
    assert (tmp_path / "digest").read_text() == done.out


def test_a_digest_file_that_cannot_be_written_is_one_error(cli, folder, tmp_path):
    words = ("build", "-q", "-t", "tiny", "--digest-file", tmp_path / "no" / "digest", folder)
    done = cli(*words)
    assert done.code == 2
    assert "Error: cannot write" in done.err
    assert "Traceback" not in done.err


def test_the_same_files_give_the_same_digest(cli, folder):
    digests = {cli("build", "-q", "-t", name, folder).out for name in ("one", "two")}
    assert len(digests) == 1


def test_a_time_is_recorded_only_when_asked(cli, folder, monkeypatch):
    plain = cli("build", "-q", "-t", "tiny", folder).out
    dated = cli("build", "-q", "-t", "tiny", "--created", "2026-01-31T12:00:00Z", folder).out
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1769860800")
    assert plain != dated == cli("build", "-q", "-t", "tiny", folder).out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--layer-size", "many"), "not a size: 'many'"),
        (("--layer-size", "-1"), "not a size"),
        (("--layer-size", "1e400"), "not a size"),
        (("--layer-size", "none", "--layering", "tensor"), "contradict each other"),
        (("--created", "yesterday"), "not a time"),
        (("--created", "2026-01-31T12:00:00"), "not a time"),
        (("--ca-file", "/nowhere.pem"), "no such file: /nowhere.pem"),
    ],
)
def test_options_that_mean_nothing_are_refused(cli, folder, options, text):
    assert text in cli("build", "-t", "tiny", *options, folder).error(2)
    assert names(cli) == []


def test_layer_size_cuts_and_none_does_not(cli, folder):
    cut = cli("build", "--json", "-t", "cut", "--layer-size", "40KiB", folder).json
    whole = cli("build", "--json", "-t", "whole", "--layer-size", "none", folder).json
    assert len(cut["layers"]) > len(whole["layers"])
    titles = [layer["annotations"]["org.cncf.model.filepath"] for layer in cut["layers"]]
    assert titles[0] == f"weights-00001-of-{len(cut['layers']) - 2:05}.gguf"
