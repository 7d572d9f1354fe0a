from __future__ import annotations

from modelpack.runtime.worker.steps import Held


def held(*said: list) -> list:
    waiting = Held()
    for piece in said:
        waiting.add([piece])
    return waiting.said


def test_texts_of_an_answer_become_one():
    assert held([1, "text", "a"], [1, "text", "b"], [1, "text", "c"]) == [[1, "text", "abc"]]


def test_texts_of_different_answers_do_not():
    said = held([1, "text", "a"], [2, "text", "x"], [1, "text", "b"])
    assert said == [[1, "text", "ab"], [2, "text", "x"]]


def test_what_comes_between_stays_between():
    call = [1, "call", {"name": "f"}]
    said = held(
        [1, "thinking", "h"], [1, "thinking", "m"], [1, "text", "a"], call, [1, "text", "b"]
    )
    assert said == [[1, "thinking", "hm"], [1, "text", "a"], call, [1, "text", "b"]]


def test_texts_with_probabilities_stay_as_they_are():
    first, second = [1, "told", ["a", []]], [1, "told", ["b", []]]
    assert held(first, second) == [first, second]
