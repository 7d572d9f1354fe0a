from __future__ import annotations

import pytest

from modelpack.engine.pace import LONGEST, PAUSE_S, Pace


def seeing(*steps: tuple[float, int, int], times: int = 10) -> Pace:
    """Return a pace that saw these again and again: seconds, answers, prompt tokens."""
    pace = Pace()
    for _ in range(times):
        for seconds, writing, reading in steps:
            pace.took(seconds, writing=writing, reading=reading, beside=reading > 0)
    return pace


def steps(writing_s: float, token_s: float, count: int = 60, most: int = 256) -> list[float]:
    """Return how long the steps take in which a prompt is read beside an answer."""
    pace = seeing((writing_s, 1, 0))
    took = []
    for _ in range(count):
        reading = pace.room(most)
        assert 0 < reading <= most
        took.append(writing_s + reading * token_s)
        pace.took(took[-1], writing=1, reading=reading, beside=True)
    return took


@pytest.mark.parametrize("token_s", [0.0005, 0.002, 0.006])
def test_a_pause_stays_in_proportion_and_is_used(token_s):
    took = steps(0.020, token_s)
    assert max(took[5:]) <= 1.02 * LONGEST * 0.020 + token_s
    assert min(took[20:]) >= 0.9 * LONGEST * 0.020 - token_s


def test_a_prompt_is_read_also_where_every_token_is_dear():
    assert min(steps(0.020, 0.5)) > 0.020


def test_no_more_is_read_than_there_is_room_for():
    assert Pace().room(3) == 3
    assert max(steps(0.020, 0.000_001, most=32)) <= 0.020 + 33 * 0.000_001


def test_one_slow_step_changes_little():
    pace = seeing((0.02, 1, 0), (0.04, 1, 10), times=30)
    before = pace.room(256)
    pace.took(5.0, writing=1, reading=10, beside=True)
    assert pace.room(256) >= before * 0.7


def test_nothing_is_known_of_reading_before_it_was_measured():
    pace = Pace()
    unknown = pace.room(256)
    pace.took(0.02, writing=1, reading=0, beside=False)
    assert pace.room(256) == unknown
    pace.took(0.5, writing=0, reading=100, beside=False)
    assert 0 < pace.room(256) < unknown


def test_a_pause_has_the_step_that_writes_after_the_one_that_reads_in_it():
    pace = seeing((0.010, 1, 0))
    pauses = []
    for _ in range(60):
        reading = pace.room(256)
        pace.took(reading * 0.001, writing=0, reading=reading, beside=True)
        pace.took(0.013, writing=1, reading=0, beside=False)
        pauses.append(reading * 0.001 + 0.013)
    assert max(pauses[5:]) <= 1.02 * LONGEST * 0.010 + 0.001
    assert min(pauses[20:]) >= 0.9 * LONGEST * 0.010 - 0.001


def test_prompts_are_read_where_steps_that_write_have_become_dearer():
    pace = Pace()
    pace.took(0.010, writing=1, reading=0, beside=False)
    for _ in range(60):
        reading = pace.room(256)
        pace.took(reading * 0.001, writing=0, reading=reading, beside=True)
        pace.took(0.060, writing=8, reading=0, beside=False)
    assert reading * 0.001 >= 0.5 * 0.060


def test_many_prompts_may_hold_up_few_answers():
    pace = seeing((0.02, 1, 0), (0.64, 0, 64))
    alone = pace.room(256)
    assert pace.room(256, writers=1, readers=7) >= 6 * alone
    assert pace.room(256, writers=7, readers=1) <= 2 * alone


def test_how_long_more_answers_take_is_known_from_fewer_and_more():
    pace = seeing((0.03, 1, 0), (0.10, 8, 0), (0.32, 0, 32))
    assert pace.room(256, writers=1) < pace.room(256, writers=4) < pace.room(256, writers=8)


def test_short_prompts_are_read_at_once_as_far_as_a_pause_may_go():
    pace = seeing((0.02, 1, 0), (0.32, 0, 64))
    held = pace.room(256)
    assert pace.room(256, brief=40) == held + 40
    assert pace.room(256, brief=1000) == pytest.approx(held + PAUSE_S / 0.005, abs=1)
    assert pace.room(30, brief=40) == 30
