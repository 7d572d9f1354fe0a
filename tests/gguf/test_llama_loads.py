"""llama.cpp takes our shards for what they are."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from support.ggufs import parsed, shard_bytes

from modelpack.gguf.group import plan_groups
from modelpack.gguf.split import plan_split, split_name

STORIES = Path(__file__).parents[2].parent / "shared/models/stories260K.gguf"

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def stories() -> bytes:
    if not STORIES.is_file():
        pytest.skip(f"{STORIES} is not there")
    return STORIES.read_bytes()


@pytest.mark.parametrize("layering", ["block", "tensor"])
@pytest.mark.parametrize("named", [True, False])
def test_llama_cpp_loads_the_shards(stories, tmp_path, layering, named):
    llama = pytest.importorskip("llama_cpp", reason="the runtime extra is not installed")
    header = parsed(stories)
    groups = plan_groups(header.tensors, max_size=100_000, layering=layering, max_groups=99)
    shards = plan_split(header, groups)
    assert len(shards) > 5
    paths = []
    for number, shard in enumerate(shards, 1):
        name = split_name("s", number, len(shards)) if named else f"sha256-{number:064x}"
        (tmp_path / name).write_bytes(shard_bytes(stories, shard))
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
