from __future__ import annotations

from modelpack.engine.relief import Holder, Relief, plan_relief


def test_what_nobody_uses_goes_first_and_of_that_the_longest_unused():
    holders = [Holder(0, 50, 9, 1), Holder(1, 10, 4, None), Holder(2, 10, 3, None)]
    assert plan_relief(holders) == Relief("forget", 2)


def test_an_empty_slot_has_nothing_to_give():
    assert plan_relief([Holder(0, 0, 1, None), Holder(1, 5, 2, None)]) == Relief("forget", 1)
    assert plan_relief([Holder(0, 0, 1, None)]) is None


def test_then_the_youngest_request_waits():
    holders = [Holder(0, 50, 1, 7), Holder(1, 10, 2, 3), Holder(2, 0, 0, None)]
    assert plan_relief(holders) == Relief("preempt", 0)


def test_the_only_one_is_given_up():
    assert plan_relief([Holder(0, 50, 1, 7), Holder(1, 0, 0, None)]) == Relief("fail", 0)
