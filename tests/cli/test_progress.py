"""What is shown while something long goes on."""

from __future__ import annotations

import json

import pytest

from modelpack.cli import _progress
from modelpack.cli._console import format_duration
from modelpack.cli._events import Totals
from modelpack.cli._progress import progress
from modelpack.progress import TOTAL, Event

LAYER = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
MB = 1_000_000


def tell(mode, count):
    with progress(mode) as report:
        for completed in range(count):
            report(Event(action="pull", item=LAYER, total=count, completed=completed))
        report(Event(action="pull", item=LAYER, total=count, completed=count, done=True))


def test_json_is_not_a_line_for_each_block(capsys):
    tell("json", 1000)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(events) < 100
    assert (events[0]["completed"], events[-1]["completed"]) == (0, 1000)
    assert events[-1]["done"]


def test_lines_are_one_for_each_layer_that_is_quick(capsys):
    tell("auto", 1000)
    assert capsys.readouterr().err == "pulling abababababab: 1.0 KB\n"


def test_lines_come_while_a_layer_is_slow(capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_EVERY_S", 0.0)
    tell("auto", 2)
    assert capsys.readouterr().err.splitlines() == [
        "pulling abababababab: 0% 0 B/2 B",
        "pulling abababababab: 50% 1 B/2 B",
        "pulling abababababab: 2 B",
    ]


def test_quiet_says_nothing(capsys):
    tell("quiet", 10)
    assert capsys.readouterr().err == ""


def layer(item, completed, note="", total=10 * MB, *, done=False):
    return Event(action="pull", item=item, total=total, completed=completed, note=note, done=done)


def all_of(total):
    return Event(action="pull", item=TOTAL, total=total)


def told(capsys, *events):
    with progress("auto") as report:
        for event in events:
            report(event)
    return capsys.readouterr().err.splitlines()


def test_a_line_says_where_a_layer_is_resumed(capsys):
    assert told(capsys, layer(LAYER, 6 * MB, "resumed at 60 %"), layer(LAYER, 7 * MB)) == [
        "pulling abababababab: resumed at 60 %"
    ]


def test_lines_tell_the_total_where_more_than_one_layer_moves(capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_EVERY_S", 0.0)
    clock = iter(range(100))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(clock))
    lines = told(
        capsys,
        all_of(30 * MB),
        layer("sha256:there", 10 * MB, "exists", done=True),
        layer(LAYER, 6 * MB, "resumed at 60 %"),
        layer(OTHER, 0),
        layer(OTHER, 4 * MB),
        layer(OTHER, 10 * MB, done=True),
        layer(LAYER, 10 * MB, done=True),
    )
    assert [line for line in lines if line.startswith("total")] == [
        "total: 30% 6.0 MB/20 MB",
        "total: 50% 10 MB/20 MB, 4.0 MB/s, 3 s left",
        "total: 80% 16 MB/20 MB, 6.0 MB/s, 1 s left",
    ]


def test_json_has_the_total_as_it_is(capsys):
    with progress("json") as report:
        for total in (5, 6):
            report(all_of(total))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["total"] for line in lines] == [5, 6]
    assert lines[0] == {
        "action": "pull", "item": "total", "total": 5, "completed": 0, "done": False, "note": ""
    }  # fmt: skip


def counted(*events):
    totals = Totals()
    for event in events:
        totals.add(event)
    return totals


def test_totals_leave_out_what_is_there_already():
    totals = counted(all_of(20 * MB), layer(LAYER, 10 * MB, "mounted", done=True), layer(OTHER, 1))
    assert (totals.total, totals.completed, totals.there, totals.moving) == (10 * MB, 1, 1, 1)
    assert not totals.is_shown


def test_totals_know_what_earlier_attempts_moved():
    totals = counted(all_of(20 * MB), layer(LAYER, 6 * MB, "resumed at 60 %"), layer(OTHER, 1 * MB))
    totals.add(layer(LAYER, 8 * MB))
    assert (totals.completed, totals.found, totals.moved) == (9 * MB, 7 * MB, 2 * MB)
    assert totals.left == 11 * MB


def test_totals_follow_a_layer_that_starts_over():
    totals = counted(all_of(20 * MB), layer(LAYER, 6 * MB), layer(LAYER, 0), layer(LAYER, 2 * MB))
    assert totals.completed == 2 * MB
    totals.add(layer(LAYER, 10 * MB, done=True))
    assert (totals.completed, totals.finished, totals.left) == (10 * MB, 1, 10 * MB)


def test_totals_grow_with_what_refers_to_a_model():
    assert counted(all_of(5), all_of(3), Event(action="pull", item=TOTAL, done=True)).total == 8


def test_what_is_no_transfer_does_not_count():
    hashing = Event(action="hash", item=LAYER, total=9, completed=9, done=True)
    assert not Totals().add(hashing)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7500, "2 h 5 min")],
)
def test_a_time_that_is_left_is_short_to_read(seconds, text):
    assert format_duration(seconds) == text
