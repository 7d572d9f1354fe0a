from __future__ import annotations

import pytest

from modelpack.engine.crew import Crew

TINY = Crew(most=16, matrix=65_000)
SMALL = Crew(most=64, matrix=400_000)
LARGE = Crew(most=16, matrix=20_000_000)


def test_a_large_model_has_all_threads():
    assert LARGE.one == 16
    assert LARGE.threads(128) == 16


def test_a_tiny_model_has_one():
    assert TINY.one == 1
    assert TINY.threads(8) == 1
    assert TINY.threads(128) == 1


@pytest.mark.parametrize("rows", [1, 2, 8, 32])
def test_few_rows_have_as_many_threads_as_one(rows):
    assert SMALL.threads(rows) == SMALL.one == 6


def test_prompts_have_more():
    assert SMALL.one < SMALL.threads(128) < SMALL.threads(512)


@pytest.mark.parametrize("matrix", [0, 1, 10**12])
def test_there_is_always_one_and_never_more_than_there_are(matrix):
    crew = Crew(most=2, matrix=matrix)
    assert 1 <= crew.threads(1) <= crew.threads(10_000) <= 2
