"""What is shown while something long goes on."""

from __future__ import annotations

import json

from modelpack.cli import _progress
from modelpack.cli._progress import progress
from modelpack.progress import Event

LAYER = "sha256:" + "ab" * 32


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
