"""Bars on a terminal: as many as have room, with one for the total."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from modelpack.cli._bars import Bars
from modelpack.progress import TOTAL, Event

HEIGHT, WIDTH = 12, 80
SIZE = 2_000_000


@pytest.fixture
def bars():
    console = Console(
        file=io.StringIO(), force_terminal=True, width=WIDTH, height=HEIGHT, color_system=None
    )
    bars = Bars(console)
    yield bars
    bars.stop()


def move(bars, number, completed, note="", *, done=False):
    bars.show(
        Event(
            action="push", item=f"sha256:{number:012}{'0' * 52}", total=SIZE,
            completed=completed, note=note, done=done,
        )
    )  # fmt: skip


def shown(bars):
    paper = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    paper.print(bars._progress.get_renderable())
    return [line.rstrip() for line in paper.file.getvalue().splitlines() if line.strip()]


def test_a_note_stays_while_the_blob_moves(bars):
    move(bars, 1, SIZE // 2, "resumed at 50 %")
    for completed in (SIZE // 2 + 1, SIZE - 1):
        move(bars, 1, completed)
        assert shown(bars)[0].startswith("pushing 000000000001 (resumed at 50 %) ")
    move(bars, 1, SIZE, done=True)
    assert "resumed at 50 %" in shown(bars)[0]


def test_a_note_goes_when_the_blob_begins_anew(bars):
    move(bars, 1, SIZE // 2, "resumed at 50 %")
    move(bars, 1, 0)
    move(bars, 1, 10)
    assert "resumed" not in shown(bars)[0]


def test_one_blob_has_no_total(bars):
    bars.show(Event(action="push", item=TOTAL, total=SIZE))
    move(bars, 1, 10)
    assert len(shown(bars)) == 1


def test_the_total_is_the_last_line(bars):
    bars.show(Event(action="push", item=TOTAL, total=3 * SIZE))
    for number in (1, 2, 3):
        move(bars, number, SIZE // 2)
    *_, last = shown(bars)
    assert last.startswith("total ")
    assert "3.0/6.0 MB" in last
    move(bars, 1, SIZE, done=True)
    assert shown(bars)[-1].startswith("total (1 done) ")


def test_a_long_list_never_fills_the_screen(bars):
    count = 450
    bars.show(Event(action="push", item=TOTAL, total=count * SIZE))
    for number in range(count):
        move(bars, number, 0)
        move(bars, number, SIZE // 2)
        lines = shown(bars)
        assert len(lines) < HEIGHT - 1
        assert any(f"{number:012}" in line for line in lines)
        move(bars, number, SIZE, done=True)
    assert shown(bars)[-1].startswith(f"total ({count} done) ")


def test_more_at_a_time_than_have_room_are_in_the_total_only(bars):
    bars.show(Event(action="push", item=TOTAL, total=40 * SIZE))
    for number in range(40):
        move(bars, number, SIZE // 2)
    lines = shown(bars)
    assert len(lines) < HEIGHT - 1
    assert "40.0/80.0 MB" in lines[-1]


def test_a_long_list_that_is_there_already_is_one_count(bars):
    bars.show(Event(action="push", item=TOTAL, total=40 * SIZE))
    for number in range(40):
        move(bars, number, SIZE, "exists", done=True)
    lines = shown(bars)
    assert len(lines) < HEIGHT - 1
    assert lines[-1].startswith("total (40 existed) ")
    assert "80.0/80.0 MB" in lines[-1]


def test_a_resumed_blob_does_not_count_as_speed(bars):
    bars.show(Event(action="push", item=TOTAL, total=2 * SIZE))
    move(bars, 1, 0)
    move(bars, 2, SIZE // 2, "resumed at 50 %")
    assert all(task.speed is None for task in bars._progress.tasks)


def test_no_line_is_broken_on_a_narrow_terminal(bars):
    bars.show(Event(action="push", item=TOTAL, total=400 * SIZE))
    move(bars, 1, 0)
    move(bars, 1, SIZE // 4)
    move(bars, 2, SIZE // 2, "resumed at 50 %")
    for number in range(3, 7):
        move(bars, number, SIZE, done=True)
    assert len(shown(bars)) == 7
