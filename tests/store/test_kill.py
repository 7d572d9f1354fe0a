"""A process that builds, removes and prunes may be killed at any moment."""

from __future__ import annotations

import random

import pytest
from support.ggufs import write_model
from support.kills import (
    SEED,
    WARM,
    assert_nothing_stays,
    assert_undamaged,
    share_of,
)
from support.models import context_in
from support.nursery import Nursery

from modelpack.ops.export import export
from modelpack.ops.listing import list_models

KILLS = share_of(0.4)
LONGEST_S = 0.4
FILES = {"a": 1, "b": 2, "both": 2}
"""Each model with the blocks of its GGUF; `b` and `both` share their weights."""


@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_store_survives_being_killed_at_any_moment(tmp_path):
    chance = random.Random(SEED)
    sources = {
        name: write_model(tmp_path / f"{name}.gguf", blocks=blocks, width=224)
        for name, blocks in FILES.items()
    }
    root = tmp_path / "models"
    context = context_in(root)
    seen: set[str] = set()
    with Nursery(*WARM) as nursery:
        for turn in range(KILLS):
            after_s = chance.uniform(0, LONGEST_S)
            nursery.kill(after_s, "support.kills:building", root, tmp_path, turn)
            where = f"seed {SEED}, turn {turn}, killed after {after_s:.3f} s"
            if root.exists():
                assert_undamaged(context, where)
            for model in list_models(context, pytest.fail):
                export(context, model.name, tmp_path / "back.gguf")
                source = sources[model.name.removeprefix("x/").removesuffix(":latest")]
                assert (tmp_path / "back.gguf").read_bytes() == source, where
                seen.add(model.name)
    assert len(seen) > 1
    assert_nothing_stays(context)
