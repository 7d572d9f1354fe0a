from __future__ import annotations

import pytest

from modelpack.engine.overflow import Gap, plan_shift, plan_truncation


def test_a_full_context_loses_half_of_what_need_not_stay():
    assert plan_shift(100, num_keep=4, prompt=50) == Gap(4, 48)
    assert plan_shift(100, num_keep=0, prompt=50) == Gap(0, 50)


def test_a_negative_number_keeps_the_prompt():
    assert plan_shift(100, num_keep=-1, prompt=50) == Gap(50, 25)


@pytest.mark.parametrize("held", [2, 3, 4, 100])
def test_something_goes_however_much_is_to_be_kept(held):
    gap = plan_shift(held, num_keep=1000, prompt=held)
    assert gap.count >= 1
    assert gap.start + gap.count <= held


def test_a_prompt_that_fits_loses_nothing():
    assert plan_truncation(99, n_ctx=100, num_keep=4, num_predict=-1).count == 0


def test_a_long_prompt_keeps_its_beginning_and_its_end_and_leaves_room_for_an_answer():
    tokens = list(range(300))
    gap = plan_truncation(300, n_ctx=100, num_keep=4, num_predict=-1)
    assert gap.cut(tokens) == [0, 1, 2, 3, *range(229, 300)]
    assert len(gap.cut(tokens)) == 75


def test_a_short_answer_needs_less_room():
    gap = plan_truncation(300, n_ctx=100, num_keep=4, num_predict=10)
    assert len(gap.cut(list(range(300)))) == 90


@pytest.mark.parametrize("n_ctx", [4, 5, 8, 100])
@pytest.mark.parametrize("num_keep", [-1, 0, 4, 10_000])
def test_what_is_left_always_fits_and_ends_with_the_newest(n_ctx, num_keep):
    tokens = list(range(500))
    left = plan_truncation(500, n_ctx=n_ctx, num_keep=num_keep, num_predict=-1).cut(tokens)
    assert 0 < len(left) < n_ctx
    assert left[-1] == 499
