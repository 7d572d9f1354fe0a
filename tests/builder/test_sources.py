from __future__ import annotations

import os

import pytest
from support.ggufs import gguf_bytes, metadata, tensor, write_model, write_split

from modelpack.builder.sources import locate, one_model, read_gguf_files
from modelpack.errors import GgufError, InputError, NotFoundError
from modelpack.gguf.values import Value

PARTS = [[tensor("a")], [tensor("b")], [tensor("c")]]


def kind_of(kind: str) -> bytes:
    return gguf_bytes(metadata(general__type=Value.string(kind)))


@pytest.fixture
def shards(tmp_path):
    return write_split(tmp_path / "set", "model", PARTS)


def test_a_path_is_relative_to_the_context(tmp_path):
    write_model(tmp_path / "sub/m.gguf")
    assert locate("sub/m.gguf", tmp_path) == tmp_path / "sub/m.gguf"
    assert locate("./sub", tmp_path) == tmp_path / "./sub"
    assert locate(str(tmp_path / "sub"), tmp_path / "elsewhere") == tmp_path / "sub"


def test_a_path_may_begin_at_home(clean_environment, tmp_path):
    write_model(clean_environment / "m.gguf")
    assert locate("~/m.gguf", tmp_path) == clean_environment / "m.gguf"


def test_a_home_that_is_not_there_is_said(clean_environment, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no home folder for ~nobody-here/x"):
        locate("~nobody-here/x", tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    with pytest.raises(InputError, match=r"no home folder for ~/m\.gguf"):
        locate("~/m.gguf", tmp_path)


@pytest.mark.parametrize("text", ["llama3", "team/model:8b", "ghcr.io/team/model", "a" * 5000])
def test_a_text_that_is_no_file_may_be_a_model(text, tmp_path):
    assert locate(text, tmp_path) is None


@pytest.mark.parametrize(
    "text", ["./model", "../model", "/no/such/model", "~/model", "~nobody/x", "m.gguf", "M.GGUF"]
)
def test_a_text_that_is_plainly_a_path_must_be_there(text, tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        locate(text, tmp_path)


def test_a_shard_brings_its_siblings(shards):
    for shard in shards:
        (found,) = read_gguf_files([shard])
        assert found.paths == tuple(shards)


def test_shards_may_be_named_in_any_order(shards):
    (found,) = read_gguf_files(reversed(shards))
    assert found.paths == tuple(shards)


def test_a_folder_means_the_files_in_it(shards):
    (shards[0].parent / "README.md").write_text("not a model")
    (found,) = read_gguf_files([shards[0].parent])
    assert found.paths == tuple(shards)


def test_a_folder_without_gguf_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no GGUF file"):
        read_gguf_files([tmp_path])


def test_a_missing_sibling_is_named(shards):
    shards[1].unlink()
    with pytest.raises(GgufError, match=r"model-00002-of-00003\.gguf is missing"):
        read_gguf_files([shards[0]])
    with pytest.raises(GgufError, match="shard 2 of 3 is missing"):
        read_gguf_files([shards[0].parent])


def test_a_shard_given_twice_is_refused(shards):
    with pytest.raises(GgufError, match="given twice"):
        read_gguf_files([shards[0], *shards])


def test_a_shard_whose_name_does_not_tell_the_others_says_so(shards):
    renamed = shards[0].rename(shards[0].with_name("first.gguf"))
    with pytest.raises(GgufError, match="does not tell the others") as caught:
        read_gguf_files([renamed])
    assert "FROM" in str(caught.value.hint)
    (found,) = read_gguf_files([renamed, *shards[1:]])
    assert found.names == tuple(f"first-0000{i}-of-00003.gguf" for i in (1, 2, 3))


def test_shards_travel_under_the_names_of_llama_cpp(shards):
    (found,) = read_gguf_files(shards)
    assert found.names == tuple(path.name for path in shards)


def test_a_model_may_come_with_projectors(tmp_path):
    write_model(tmp_path / "m.gguf")
    (tmp_path / "v.gguf").write_bytes(kind_of("mmproj"))
    model, projectors = one_model(read_gguf_files([tmp_path]))
    assert model is not None
    assert model.paths == (tmp_path / "m.gguf",)
    assert [p.paths[0].name for p in projectors] == ["v.gguf"]


@pytest.mark.parametrize("kind", ["adapter", "imatrix"])
def test_what_is_no_model_is_refused_as_what_it_is(tmp_path, kind):
    (tmp_path / "x.gguf").write_bytes(kind_of(kind))
    with pytest.raises(InputError, match=f"GGUF {kind}") as caught:
        one_model(read_gguf_files([tmp_path]))
    assert "ADAPTER" in str(caught.value.hint)


def test_two_models_are_refused(tmp_path):
    write_model(tmp_path / "a.gguf")
    write_model(tmp_path / "b.gguf")
    with pytest.raises(InputError, match=r"two models: .*a\.gguf and .*b\.gguf"):
        one_model(read_gguf_files([tmp_path]))


def test_a_pipe_in_the_folder_does_not_make_the_build_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(GgufError, match="not a regular file"):
        read_gguf_files([tmp_path])
