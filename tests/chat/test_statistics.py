from __future__ import annotations

import pytest

from modelpack.chat import format_forgotten, format_statistics
from modelpack.chat.statistics import format_duration
from modelpack.engine.base import Finished, Statistics


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-1, "0s"),
        (1e-9, "1ns"),
        (0.00085, "850µs"),
        (0.012345678, "12.345678ms"),
        (0.5, "500ms"),
        (1, "1s"),
        (5.19, "5.19s"),
        (62.5, "1m2.5s"),
        (60.001, "1m0.001s"),
        (3600, "1h0m0s"),
        (3725.25, "1h2m5.25s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds, text):
    assert format_duration(seconds) == text


def test_statistics_come_in_ollama_s_words():
    took = Statistics(
        prompt_tokens=30,
        cached_tokens=10,
        prompt_s=0.5,
        generated_tokens=100,
        generation_s=4,
        load_s=0.25,
        total_s=5,
    )
    assert format_statistics(Finished("stop", took)) == [
        "total duration:       5s",
        "load duration:        250ms",
        "prompt eval count:    30 token(s)",
        "prompt eval duration: 500ms",
        "prompt eval rate:     40.00 tokens/s",
        "eval count:           100 token(s)",
        "eval duration:        4s",
        "eval rate:            25.00 tokens/s",
    ]


def test_what_the_context_had_no_room_for_is_a_line():
    took = Statistics(left_out_messages=1200, shifted_tokens=2)
    assert format_forgotten(Finished("stop", took)) == (
        "the context was full: 1,200 earlier messages were left out, "
        "2 tokens were forgotten on the way; num_ctx says how much it holds"
    )
    assert format_forgotten(Finished("stop", Statistics())) == ""


def test_nothing_generated_is_no_division_by_zero():
    assert format_statistics(Finished("cancelled", Statistics()))[-1].endswith("0.00 tokens/s")
