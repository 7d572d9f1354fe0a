"""What a model is for is read from its header."""

from __future__ import annotations

import pytest
from engine.bert import RANK, write_bert
from engine.real import TINY
from support.ggufs import gguf_bytes

from modelpack.engine.purpose import pooling_of, purpose_of, purpose_of_file
from modelpack.gguf.reader import parse_header
from modelpack.gguf.values import Value


def header(kind: str, pooling: int | None = None, causal: bool | None = None):
    fields = {"general.architecture": Value.string(kind)}
    if pooling is not None:
        fields[f"{kind}.pooling_type"] = Value.uint32(pooling)
    if causal is not None:
        fields[f"{kind}.attention.causal"] = Value.boolean(causal)
    data = gguf_bytes(fields)
    return parse_header(data, len(data), "made")


@pytest.mark.parametrize(
    ("kind", "pooling", "causal", "purpose"),
    [
        ("llama", None, None, "text"),
        ("qwen3", 0, True, "text"),
        ("t5", None, None, "text"),  # which loading refuses
        ("dream", None, False, "text"),
        ("", None, None, "text"),
        ("qwen3", 3, None, "vectors"),
        ("llama", None, False, "vectors"),
        ("bert", None, None, "vectors"),
        ("nomic-bert", 1, False, "vectors"),
        ("modern-bert", 2, False, "vectors"),
        ("t5encoder", None, None, "vectors"),
        ("bert", 4, False, "ranks"),
        ("qwen3", 4, None, "ranks"),
        ("llama", 9, None, "text"),
    ],
)
def test_the_header_tells(kind, pooling, causal, purpose):
    assert purpose_of(header(kind, pooling, causal)) == purpose


def test_files_tell_and_those_that_cannot_be_read_are_left_to_loading(tmp_path):
    assert purpose_of_file(TINY) == "text"
    pytest.importorskip("numpy")
    assert purpose_of_file(write_bert(tmp_path / "a")[0]) == "vectors"
    assert purpose_of_file(write_bert(tmp_path / "b", pooling=RANK)[0]) == "ranks"
    assert purpose_of_file(tmp_path / "nothing") == "text"
    (tmp_path / "bad").write_bytes(b"no model")
    assert purpose_of_file(tmp_path / "bad") == "text"


@pytest.mark.parametrize(
    ("kind", "pooling", "causal", "expected"),
    [
        ("llama", "", "", (3, True)),
        ("llama", "0", "true", (3, True)),
        ("llama", "", "false", (1, False)),
        ("bert", "", "", (1, False)),
        ("bert", "2", "false", (2, False)),
        ("qwen3", "4", "", (4, True)),
        ("bert", "77", "false", (1, False)),
    ],
)
def test_who_says_nothing_of_pooling_gets_what_fits(kind, pooling, causal, expected):
    said = {"general.architecture": kind, f"{kind}.pooling_type": pooling}
    said[f"{kind}.attention.causal"] = causal
    assert pooling_of(lambda key: said.get(key, "")) == expected
