from __future__ import annotations

import pytest

from modelpack.engine.batch import Take, Want, common_prefix, plan_step, take_turns


def test_an_idle_engine_has_nothing_to_compute():
    assert plan_step([], capacity=8) == []
    assert plan_step([Want(0, 0, writing=False)], capacity=8) == []


def test_a_prompt_that_fits_is_taken_whole_and_asks_for_a_token():
    assert plan_step([Want(0, 5, writing=False)], capacity=8) == [Take(0, 5, output=True)]


def test_a_long_prompt_is_taken_in_chunks_and_asks_for_a_token_at_its_end_only():
    assert plan_step([Want(0, 20, writing=False)], capacity=100, prompt_chunk=8) == [
        Take(0, 8, output=False)
    ]


def test_writing_slots_come_before_prompts_whatever_the_order():
    wants = [Want(0, 3, writing=False), Want(1, 1, writing=True), Want(2, 1, writing=True)]
    takes = plan_step(wants, capacity=8)
    assert [take.slot for take in takes] == [1, 2, 0]
    assert all(take.output for take in takes)


def test_prompts_get_less_while_someone_is_writing():
    wants = [Want(0, 1, writing=True), Want(1, 500, writing=False)]
    takes = plan_step(wants, capacity=2048, prompt_chunk=512, mixed_chunk=256)
    assert takes == [Take(0, 1, output=True), Take(1, 256, output=False)]


def test_further_tokens_of_answers_come_after_the_first_of_each_and_before_prompts():
    wants = [Want(0, 9, writing=False), Want(1, 6, writing=True), Want(2, 3, writing=True)]
    takes = plan_step(wants, capacity=100, mixed_chunk=6)
    assert takes == [Take(1, 6, output=True), Take(2, 2, output=False)]
    assert plan_step(wants, capacity=100, mixed_chunk=8)[1:] == [
        Take(2, 3, output=True),
        Take(0, 1, output=False),
    ]


def test_prompts_share_what_is_left_in_the_order_they_came():
    wants = [Want(3, 6, writing=False), Want(1, 6, writing=False), Want(2, 6, writing=False)]
    assert plan_step(wants, capacity=100, prompt_chunk=8) == [
        Take(3, 6, output=True),
        Take(1, 2, output=False),
    ]


@pytest.mark.parametrize("capacity", [1, 2, 5, 64])
def test_a_step_never_exceeds_its_capacity(capacity):
    wants = [Want(slot, 1, writing=True) for slot in range(3)]
    wants += [Want(slot, 40, writing=False) for slot in range(3, 6)]
    wants += [Want(6, 5, writing=True)]
    assert sum(take.count for take in plan_step(wants, capacity=capacity)) <= capacity


def test_repeated_steps_compute_every_token_once():
    left = {0: 1300, 1: 7, 2: 512}
    done = dict.fromkeys(left, 0)
    while any(left.values()):
        for take in plan_step((Want(s, n, writing=False) for s, n in left.items()), capacity=600):
            left[take.slot] -= take.count
            done[take.slot] += take.count
            assert take.output == (left[take.slot] == 0)
    assert done == {0: 1300, 1: 7, 2: 512}


@pytest.mark.parametrize(
    ("left", "right", "length"),
    [
        ((), (), 0),
        ((1,), (), 0),
        ((1, 2, 3), (1, 2, 3), 3),
        ((1, 2, 3), (1, 2, 4), 2),
        ((1, 2), (1, 2, 4), 2),
        ((9, 2, 3), (1, 2, 3), 0),
        ((1, 5, 3, 4), (1, 2, 3, 4), 1),
    ],
)
def test_common_prefix_ends_at_the_first_difference(left, right, length):
    assert common_prefix(left, right) == length
    assert common_prefix(right, left) == length


def test_answers_and_prompts_take_turns_where_there_are_both():
    writer, reader = Want(0, 1, writing=True), Want(1, 40, writing=False)
    assert take_turns([writer, reader], read=False) == [writer]
    assert take_turns([writer, reader], read=True) == [reader]
    for read in (False, True):
        assert take_turns([reader], read=read) == [reader]
        assert take_turns([writer], read=read) == [writer]
        assert take_turns([writer, Want(1, 0, writing=False)], read=read)[0] == writer
