"""llama.cpp takes our shards for what they are."""

from __future__ import annotations

import ctypes

import pytest
from engine.real import STORIES, TINY, require
from support.ggufs import parsed, shard_bytes

from modelpack.gguf.group import plan_groups
from modelpack.gguf.split import plan_split, split_name

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    ("path", "named", "layering"),
    [
        (TINY, True, "block"),
        (TINY, True, "tensor"),
        (TINY, False, "block"),
        (TINY, False, "tensor"),
        (STORIES, True, "block"),
    ],
)
def test_llama_cpp_loads_the_shards(path, named, layering, tmp_path):
    data = require(path).read_bytes()
    import llama_cpp as llama

    header = parsed(data)
    groups = plan_groups(header.tensors, max_size=100_000, layering=layering, max_groups=99)
    shards = plan_split(header, groups)
    assert len(shards) > 5
    paths = []
    for number, shard in enumerate(shards, 1):
        name = split_name("s", number, len(shards)) if named else f"sha256-{number:064x}"
        (tmp_path / name).write_bytes(shard_bytes(data, shard))
        paths.append(str(tmp_path / name).encode())
    llama.llama_backend_init()
    params = llama.llama_model_default_params()
    params.n_gpu_layers = 0
    array = (ctypes.c_char_p * len(paths))(*paths)
    if named:
        model = llama.llama_model_load_from_file(paths[0], params)
    else:
        model = llama.llama_model_load_from_splits(array, len(paths), params)
    assert model
    try:
        assert llama.llama_model_n_params(model) == sum(t.elements for t in header.tensors)
        assert llama.llama_model_n_ctx_train(model) == header.integer("llama.context_length")
    finally:
        llama.llama_model_free(model)
