from __future__ import annotations

from dataclasses import replace

import pytest
from engine.real import STORIES, TINY, require, write_adapter
from runtime.placement import giants
from support import ggufs

from modelpack.gguf.reader import read_header
from modelpack.gguf.values import Value, ValueType
from modelpack.runtime.placement.estimate import Demand, estimate
from modelpack.runtime.placement.shape import read_shape

MIB = 2**20
GIANTS = {
    "llama": giants.LLAMA_8B,
    "tied": giants.QWEN_05B,
    "windows": giants.GEMMA_4B,
    "experts": giants.QWEN_30B,
    "recurrent": giants.Mamba(),
    "few tokens": replace(giants.LLAMA_8B, vocabulary=512),
    "experts, few tokens": replace(giants.QWEN_30B, vocabulary=512),
    "windows, few tokens": replace(giants.GEMMA_4B, vocabulary=512),
}
DEMANDS = [
    Demand(n_ctx=4096),
    Demand(n_ctx=4096, flash_attention=False),
    Demand(n_ctx=32_768, slots=4),
    Demand(n_ctx=100, slots=2),
    Demand(n_ctx=8192, slots=4, pool=10_000),
    Demand(n_ctx=8192, type_k="q8_0", type_v="q8_0"),
    Demand(n_ctx=8192, slots=2, type_k="q4_0", type_v="q4_0"),
]


def asked(path, demand):
    return giants.ask(
        path,
        demand.n_ctx,
        demand.slots,
        flash=demand.flash_attention,
        pool=demand.pool,
        kv_type=demand.type_k,
    )


@pytest.mark.model
@pytest.mark.parametrize("demand", DEMANDS, ids=str)
@pytest.mark.parametrize("name", GIANTS)
def test_the_estimate_is_what_llama_cpp_says(tmp_path, name, demand):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    path = giants.write_giant(tmp_path / "giant.gguf", GIANTS[name])
    needs, said = estimate([read_header(path)], demand), asked(path, demand)
    buffers = max(needs.layer_buffers, needs.output_buffers)
    assert needs.weights == said.weights
    assert needs.context == pytest.approx(said.context, abs=0.02 * MIB)
    assert said.buffers <= buffers <= 1.4 * said.buffers + 12 * MIB


@pytest.mark.model
@pytest.mark.parametrize("path", [TINY, STORIES], ids=["tiny", "stories"])
def test_real_models_are_estimated_exactly_too(path):
    require(path)
    needs = estimate([read_header(path)], Demand(n_ctx=512, slots=2))
    said = giants.ask(path, 512, 2)
    assert needs.weights == said.weights
    assert needs.context == pytest.approx(said.context, abs=0.02 * MIB)
    assert said.buffers <= needs.buffers <= said.buffers + 12 * MIB


def test_shards_need_what_the_whole_needs(tmp_path):
    parts = ggufs.llama_tensors(2)
    facts = {"llama__block_count": Value.uint32(2), "llama__embedding_length": Value.uint32(64)}
    ggufs.write_model(tmp_path / "whole.gguf", **facts)
    first, *rest = ggufs.write_split(tmp_path, "m", [parts[:5], parts[5:9], parts[9:]])
    whole = read_header(tmp_path / "whole.gguf")
    shards = [whole_keys(first, whole), *map(read_header, rest)]
    assert estimate(shards, Demand(n_ctx=64)).weights == estimate([whole], Demand(n_ctx=64)).weights


def whole_keys(path, whole):
    """The header of *path* with the metadata of *whole*, as a first shard has it."""
    shard = read_header(path)
    return replace(shard, fields=whole.fields, raw=whole.raw)


def test_an_adapter_lies_with_its_layers(tmp_path):
    adapter = read_header(write_adapter(tmp_path / "adapter.gguf"))
    header = read_header(TINY)
    plain = estimate([header], Demand(n_ctx=64))
    adapted = estimate([header], Demand(n_ctx=64), adapters=[adapter])
    size = sum(tensor.size for tensor in adapter.tensors)
    assert adapted.blocks[0].weights == plain.blocks[0].weights + size
    assert adapted.blocks[1:] == plain.blocks[1:]


def test_quantized_caches_are_smaller(tmp_path):
    header = read_header(giants.write_giant(tmp_path / "giant.gguf", giants.LLAMA_8B))
    plain = estimate([header], Demand(n_ctx=4096)).context
    small = estimate([header], Demand(n_ctx=4096, type_k="q8_0", type_v="q4_0")).context
    assert small * 2 * 32 * 2 == plain * (34 + 18)


def facts_of(**values):
    numbers = {
        "block_count": 4, "embedding_length": 64, "attention.head_count": 4,
        "attention.sliding_window": 16,
    }  # fmt: skip
    kind = values.pop("kind", "gemma3")
    fields = {
        "general.architecture": Value.string(kind),
        **{f"{kind}.{key}": Value.uint32(number) for key, number in numbers.items()},
        **{f"{kind}.{key}": value for key, value in values.items()},
    }
    return ggufs.parsed(ggufs.gguf_bytes(fields, ggufs.llama_tensors(4)))


def windows(header):
    return [layer.window for layer in read_shape([header]).layers]


def test_a_pattern_of_windows_may_be_an_array_or_a_period():
    array = Value.array(ValueType.BOOL, [True, False, False, True])
    key = "attention.sliding_window_pattern"
    assert windows(facts_of(**{key: array})) == [16, 0, 0, 16]
    assert windows(facts_of(**{key: Value.uint32(2)})) == [16, 0, 16, 0]
    assert windows(facts_of(kind="gpt-oss")) == [16, 0, 16, 0]
    assert windows(facts_of(kind="smallthinker")) == [0, 16, 16, 16]
    assert windows(facts_of(kind="unheard-of")) == [0, 0, 0, 0]


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_none_counts_as_nothing(number):
    array = Value.array(ValueType.FLOAT32, [number, 1.0, number, 1.0])
    facts = dict.fromkeys(("attention.sliding_window_pattern", "feed_forward_length"), array)
    assert windows(facts_of(**facts)) == [0, 16, 0, 16]
    assert read_shape([facts_of(**facts)]).feed_forward == 1
    assert windows(facts_of(**{"attention.sliding_window_pattern": Value.float32(number)})) == (
        [16] * 4
    )


def test_layers_that_share_a_cache_have_none_of_their_own():
    shape = read_shape([facts_of(**{"attention.shared_kv_layers": Value.uint32(3)})])
    assert [bool(layer.keys) for layer in shape.layers] == [True, False, False, False]


def test_blocks_that_guess_ahead_are_not_loaded():
    needs = estimate([facts_of(nextn_predict_layers=Value.uint32(1))], Demand(n_ctx=64))
    assert [bool(block.size) for block in needs.blocks] == [True, True, True, False]


def test_metadata_that_says_nonsense_is_survived():
    header = facts_of(**{"attention.head_count_kv": Value.array(ValueType.INT32, [-5])})
    estimate([header], Demand(n_ctx=0))
    nothing = ggufs.parsed(ggufs.gguf_bytes({}, []))
    assert estimate([nothing], Demand(n_ctx=1)).weights == 0
    huge = {"general.architecture": Value.string("x"), "x.block_count": Value.uint32(2**32 - 1)}
    assert len(estimate([ggufs.parsed(ggufs.gguf_bytes(huge))], Demand(n_ctx=1)).blocks) <= 1024
