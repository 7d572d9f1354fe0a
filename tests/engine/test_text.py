from __future__ import annotations

import pytest

from modelpack.engine.text import TextStream


def read(stream: TextStream, *pieces: bytes) -> list[str]:
    return [stream.feed(piece) for piece in pieces]


def test_text_comes_out_at_once_when_there_is_nothing_to_wait_for():
    stream = TextStream()
    assert read(stream, b"Hello", b" world") == ["Hello", " world"]
    assert stream.finish() == ""


def test_a_character_cut_in_two_waits_for_its_rest():
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert read(TextStream(), b"caf" + first, second + b"!") == ["caf", "é!"]


def test_an_emoji_byte_by_byte_comes_out_whole():
    assert read(TextStream(), *(bytes([b]) for b in "🦙".encode())) == ["", "", "", "🦙"]


def test_a_character_that_never_becomes_whole_is_replaced_at_the_end():
    stream = TextStream()
    assert read(stream, b"a\xc3") == ["a"]
    assert stream.finish() == "\ufffd"


def test_bytes_that_are_no_text_are_replaced():
    assert read(TextStream(), b"a\xffb") == ["a\ufffdb"]


def test_a_stop_string_ends_the_text_before_it():
    stream = TextStream(["END"])
    assert read(stream, b"one END two") == ["one "]
    assert stream.stopped
    assert stream.feed(b"more") == ""
    assert stream.finish() == ""


def test_a_stop_string_is_found_across_tokens():
    stream = TextStream(["<|end|>"])
    assert read(stream, b"yes<", b"|en", b"d|>no") == ["yes", "", ""]
    assert stream.stopped


def test_what_only_looked_like_a_stop_string_is_given_out():
    stream = TextStream(["<end>"])
    assert read(stream, b"a <e", b"gg> b") == ["a ", "<egg> b"]
    assert not stream.stopped


def test_what_is_held_back_comes_at_the_end():
    stream = TextStream(["\n\nUser:"])
    assert read(stream, b"bye\n\n") == ["bye"]
    assert stream.finish() == "\n\n"


def test_the_earliest_of_several_stop_strings_counts():
    stream = TextStream(["three", "two"])
    assert read(stream, b"one two three") == ["one "]


def test_a_stop_string_that_repeats_its_own_beginning_is_found():
    stream = TextStream(["aab"])
    assert "".join(read(stream, b"a", b"a", b"a", b"b")) == "a"
    assert stream.stopped


def test_an_empty_stop_string_stops_nothing():
    assert read(TextStream([""]), b"text") == ["text"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_pieces_of_any_size_give_the_same_text(size):
    data = "Grüße, 世界! 🦙 STO and more STOP never".encode()
    stream = TextStream(["STOP"])
    pieces = [stream.feed(data[at : at + size]) for at in range(0, len(data), size)]
    assert "".join(pieces) + stream.finish() == "Grüße, 世界! 🦙 STO and more "
