from __future__ import annotations

from modelpack.engine.batch import Take, Want, plan_step
from modelpack.engine.media import is_media, number_of, run_length, run_of, whole, without_media

TEXT = [5, 6, 7]
FIRST, SECOND = run_of(0, 3), run_of(1, 1)


def test_a_picture_is_a_run_that_says_which_it_is():
    assert len(FIRST) == 3
    assert [number_of(token) for token in FIRST + SECOND] == [0, 0, 0, 1]
    assert all(map(is_media, FIRST))
    assert not any(map(is_media, TEXT))
    assert without_media([*TEXT, *FIRST, 8]) == [5, 6, 7, 8]


def test_runs_end_where_another_begins():
    assert run_length(TEXT) == 3
    assert run_length([*TEXT, *FIRST]) == 3
    assert run_length([*FIRST, *FIRST, *TEXT]) == 3
    assert run_length([*SECOND, *FIRST]) == 1
    assert run_length(FIRST) == 3


def test_half_a_picture_is_none():
    tokens = [*TEXT, *FIRST, *SECOND, 8]
    assert [whole(tokens, count) for count in range(9)] == [0, 1, 2, 3, 3, 3, 6, 7, 8]


def test_a_picture_has_a_step_for_itself():
    text, picture = Want(0, 5, writing=False), Want(1, 40, writing=False, alone=True)
    writer = Want(2, 1, writing=True)
    assert plan_step([picture, text], capacity=100) == [Take(1, 40, True)]
    assert plan_step([text, picture], capacity=100) == [Take(0, 5, True)]
    assert plan_step([writer, picture], capacity=100) == [Take(2, 1, True)]
    assert plan_step([picture], capacity=10) == [Take(1, 40, True)]
