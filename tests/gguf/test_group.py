from __future__ import annotations

import itertools
import random

import pytest

from modelpack.gguf.group import plan_groups
from modelpack.gguf.values import TensorInfo

LAYERINGS = ("block", "tensor")
ROLES = (
    "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output",
    "ffn_norm", "ffn_gate", "ffn_up", "ffn_down",
)  # fmt: skip


def info(name: str, size: int = 100) -> TensorInfo:
    return TensorInfo(name, (size,), 24, 0, size)


def llama(blocks: int, size: int = 100) -> list[TensorInfo]:
    names = [f"blk.{b}.{role}.weight" for b in range(blocks) for role in ROLES]
    return [info(n, size) for n in ("token_embd.weight", *names, "output_norm.weight")] + [
        info("output.weight", size)
    ]


def names_of(tensors, groups) -> list[list[str]]:
    return [[tensors[i].name for i in group] for group in groups]


def covers_once(tensors, groups) -> bool:
    return sorted(itertools.chain(*groups)) == list(range(len(tensors)))


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize("blocks", [1, 32, 130, 500])
@pytest.mark.parametrize("size", [1, 450, 10**6])
def test_groups_never_exceed_their_number_and_cover_every_tensor_once(layering, blocks, size):
    tensors = llama(blocks)
    groups = plan_groups(tensors, max_size=size, layering=layering, max_groups=400)
    assert len(groups) <= 400
    assert all(groups)
    assert covers_once(tensors, groups)


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize("seed", range(20))
def test_groups_cover_random_tensor_tables_once(layering, seed):
    chance = random.Random(seed)
    tensors = [
        info(f"{chance.choice(['', 'v.', 'x.'])}blk.{chance.randrange(40)}.{role}.{n}", size)
        for n in range(60)
        for role in [chance.choice(ROLES)]
        for size in [chance.choice([0, 1, 100, 5000])]
    ]
    groups = plan_groups(tensors, max_size=900, layering=layering, max_groups=20)
    assert len(groups) <= 20
    assert covers_once(tensors, groups)


@pytest.mark.parametrize("layering", LAYERINGS)
def test_groups_stay_below_the_size_unless_one_tensor_is_larger(layering):
    tensors = [info(f"blk.{i}.ffn_up.weight", 70 if i % 5 else 500) for i in range(50)]
    groups = plan_groups(tensors, max_size=200, layering=layering, max_groups=100)
    for group in groups:
        assert len(group) == 1 or sum(tensors[i].size for i in group) <= 200


def test_blocks_stand_in_the_order_of_their_numbers():
    tensors = [info(f"blk.{i}.ffn_up.weight") for i in (10, 2, 1, 0)]
    groups = plan_groups(tensors, max_size=1, layering="block", max_groups=9)
    assert groups == ((3,), (2,), (1,), (0,))


def test_embeddings_stand_before_the_blocks_and_the_rest_behind():
    tensors = [info(n) for n in ("output.weight", "blk.0.attn_q.weight", "token_embd.weight")]
    groups = plan_groups(tensors, max_size=1, layering="block", max_groups=9)
    assert groups == ((2,), (1,), (0,))


def test_a_block_stays_together_where_it_fits():
    tensors = llama(3)
    groups = plan_groups(tensors, max_size=len(ROLES) * 100, layering="block", max_groups=99)
    assert names_of(tensors, groups)[1] == [f"blk.0.{role}.weight" for role in ROLES]


def test_layering_by_tensor_makes_four_groups_of_a_block():
    tensors = llama(1)
    found = names_of(tensors, plan_groups(tensors, max_size=999, layering="tensor", max_groups=99))
    roles = [[name.removeprefix("blk.0.").removesuffix(".weight") for name in g] for g in found]
    assert roles == [
        ["token_embd"],
        ["attn_norm", "attn_q", "attn_k", "attn_output", "ffn_norm"],
        ["attn_v"],
        ["ffn_gate", "ffn_up"],
        ["ffn_down"],
        ["output_norm"],
        ["output"],
    ]


def test_neighbouring_blocks_share_groups_by_role_where_there_are_too_many():
    tensors = llama(130)
    groups = plan_groups(tensors, max_size=10**6, layering="tensor", max_groups=400)
    found = [
        {name.removesuffix(".weight").split(".")[-1] for name in names}
        for names in names_of(tensors, groups)
    ]
    assert found.count({"attn_v"}) == found.count({"ffn_down"}) == 65
    assert found.count({"ffn_gate", "ffn_up"}) == 65


@pytest.mark.parametrize(
    "names",
    [
        [f"part{i}.token_embd.weight" for i in range(60)],
        [f"blk.{i * 10**9}.attn_v.weight" for i in range(60)],
        [f"blk.{'9' * i}.attn_v.weight" for i in range(1, 60)],
    ],
)
def test_groups_are_found_for_names_that_no_model_has(names):
    tensors = [info(name) for name in names]
    groups = plan_groups(tensors, max_size=1, layering="tensor", max_groups=9)
    assert len(groups) <= 9
    assert covers_once(tensors, groups)
