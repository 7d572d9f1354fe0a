from __future__ import annotations

from modelpack.engine.memory import choose
from modelpack.engine.slots import Slot

SYSTEM = list(range(100))


def slot(index: int, held: list[int], used: int) -> Slot:
    return Slot(index, held=held, used=used)


def chosen(slots: list[Slot], tokens: list[int]) -> tuple[int, int]:
    found, count = choose(slots, tokens)
    return found.index, count


def test_a_conversation_goes_on_where_it_is():
    slots = [slot(0, [1, 2, 3], 1), slot(1, [1, 2, 4, 5], 2), slot(2, [], 0)]
    assert chosen(slots, [1, 2, 4, 5, 6]) == (1, 4)


def test_a_system_prompt_is_not_computed_again():
    slots = [slot(0, [*SYSTEM, 901, 902, 903], 1), slot(1, [], 0)]
    assert chosen(slots, [*SYSTEM, 7, 8]) == (0, 100)


def test_a_beginning_that_all_prompts_have_does_not_cost_a_conversation():
    before = [1, 2, 3, *range(200, 300)]
    slots = [slot(0, before, 5), slot(1, [], 0)]
    assert chosen(slots, [1, 2, 3, *range(400, 440)]) == (1, 0)


def test_nothing_in_common_takes_the_one_unused_for_longest():
    slots = [slot(0, [1, *range(200, 300)], 3), slot(1, [1, *range(300, 400)], 2)]
    assert chosen(slots, [1, *range(500, 600)]) == (1, 1)


def test_of_equals_the_one_unused_for_longest():
    slots = [slot(0, SYSTEM, 3), slot(1, SYSTEM, 2)]
    assert chosen(slots, [*SYSTEM, 7]) == (1, 100)
