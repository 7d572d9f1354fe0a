from __future__ import annotations

import random

import pytest

from modelpack.engine.packing import pack


@pytest.mark.parametrize("seed", range(20))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(seed):
    draw = random.Random(seed)
    lengths = [draw.randint(1, 60) for _ in range(draw.randint(0, 50))]
    room, most = draw.randint(40, 120), draw.randint(1, 8)
    batches = pack(lengths, room=room, most=most)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= most for batch in batches)
    assert all(len(b) == 1 or sum(lengths[n] for n in b) <= room for b in batches)


def test_texts_of_like_length_go_together():
    assert pack([9, 1, 8, 2], room=20, most=2) == [[1, 3], [2, 0]]


def test_a_text_that_is_longer_is_a_batch_by_itself():
    assert pack([5, 300, 5], room=10, most=8) == [[0, 2], [1]]


def test_nothing_needs_no_batch():
    assert pack([], room=10, most=4) == []
