"""What a small change of a model costs."""

from __future__ import annotations

import pytest
from support.ggufs import gguf_bytes, llama_tensors, metadata, tensor, write_model
from support.models import context_in, make

from modelpack.builder.plan import Cut
from modelpack.gguf.values import Value
from modelpack.oci.manifest import Manifest

CUT = Cut(size=300_000)
BY_TENSOR = Cut(size=300_000, layering="tensor")


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path / "models")


def fresh(before: Manifest, after: Manifest) -> int:
    """Bytes that a registry with *before* does not have of *after*."""
    known = {blob.digest for blob in before.blobs}
    return len(after.raw) + sum(blob.size for blob in after.blobs if blob.digest not in known)


@pytest.mark.parametrize("cut", [CUT, BY_TENSOR, Cut(size=None)])
def test_another_template_in_the_modelfile_costs_next_to_nothing(context, tmp_path, cut):
    write_model(tmp_path / "m.gguf", blocks=4, width=256)
    before = make(context, "FROM m.gguf\nTEMPLATE one", tmp_path, cut=cut).manifest
    after = make(context, "FROM m.gguf\nTEMPLATE two", tmp_path, cut=cut).manifest
    assert before.digest != after.digest
    assert fresh(before, after) < before.size / 100


@pytest.mark.parametrize("cut", [CUT, BY_TENSOR])
def test_another_template_in_the_gguf_costs_one_small_layer(context, tmp_path, cut):
    text = "{{ messages }}"
    write_model(
        tmp_path / "m.gguf", blocks=4, width=256, tokenizer__chat_template=Value.string(text)
    )
    before = make(context, "FROM m.gguf", tmp_path, cut=cut).manifest
    write_model(
        tmp_path / "m.gguf", blocks=4, width=256, tokenizer__chat_template=Value.string(text * 50)
    )
    after = make(context, "FROM m.gguf", tmp_path, cut=cut).manifest
    assert len(before.layers) > 4
    assert fresh(before, after) < before.size / 100


def test_a_change_on_top_of_a_model_moves_no_weights(context, tmp_path):
    write_model(tmp_path / "m.gguf", blocks=4, width=256)
    before = make(context, "FROM m.gguf", tmp_path, "base", cut=CUT).manifest
    after = make(context, "FROM base\nSYSTEM x\nPARAMETER top_k 4", tmp_path, "new").manifest
    assert fresh(before, after) < before.size / 100


def test_related_models_share_the_tensors_they_have_in_common(context, tmp_path):
    rows = llama_tensors(blocks=6, width=128)
    changed = [
        tensor(*row[:3], seed=1) if ".attn_v." in row[0] or ".ffn_down." in row[0] else row
        for row in rows
    ]
    (tmp_path / "m.gguf").write_bytes(gguf_bytes(metadata(), rows))
    plain = Cut(size=100_000_000, layering="tensor")
    before = make(context, "FROM m.gguf", tmp_path, cut=plain).manifest
    (tmp_path / "m.gguf").write_bytes(gguf_bytes(metadata(), changed))
    after = make(context, "FROM m.gguf", tmp_path, cut=plain).manifest
    moved = sum(len(row[3]) for row, old in zip(changed, rows, strict=True) if row is not old)
    assert moved < before.size / 2
    assert moved <= fresh(before, after) < moved + 30_000


def test_a_cut_by_blocks_shares_blocks(context, tmp_path):
    rows = llama_tensors(blocks=6, width=128)
    changed = [tensor(*row[:3], seed=1) if row[0].startswith("blk.3.") else row for row in rows]
    cut = Cut(size=sum(len(row[3]) for row in rows if row[0].startswith("blk.3.")))
    (tmp_path / "m.gguf").write_bytes(gguf_bytes(metadata(), rows))
    before = make(context, "FROM m.gguf", tmp_path, cut=cut).manifest
    (tmp_path / "m.gguf").write_bytes(gguf_bytes(metadata(), changed))
    after = make(context, "FROM m.gguf", tmp_path, cut=cut).manifest
    assert fresh(before, after) < before.size / 4
