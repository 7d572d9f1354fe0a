"""`bench`."""

from __future__ import annotations

import re

import pytest
from engine.fakes import AlphabetDecoder
from engine.real import TINY, require

from modelpack.engine.loop import Bounds, Loop
from modelpack.errors import EngineError
from modelpack.ops import bench

SMALL = ("--prompt", 20, "--tokens", 8, "--threads", 1)


class Steps(AlphabetDecoder):
    """Takes a second for each step."""

    now = 0.0

    def decode(self, chunks):
        self.now += 1.0
        return super().decode(chunks)


@pytest.mark.parametrize("refuses_cuts", [False, True])
def test_speeds_are_counted_while_all_streams_write(refuses_cuts):
    decoder = Steps()
    decoder.refuses_cuts = refuses_cuts  # as recurrent models do: the prompt is computed again
    bounds = Bounds(n_ctx=64, n_batch=16, slots=2, prompt_chunk=16)
    loop = Loop(decoder, bench._Endless(), bounds, clock=lambda: decoder.now)
    prompts = [tuple(range(100 * i + 1, 100 * i + 17)) for i in range(2)]
    speed = bench.measure(loop, prompts, 10, clock=lambda: decoder.now)
    assert (speed.streams, speed.first_token_s, speed.last_first_token_s) == (2, 1.5, 2.0)
    assert speed.prompt_rate == 16.0
    assert (speed.decode_rate, speed.stream_rate) == (2.0, 1.0)
    assert not loop.busy


@pytest.fixture
def tiny(cli, store):
    require(TINY)
    cli("build", "-q", "-t", "tiny", TINY.parent)


@pytest.mark.model
def test_bench_shows_a_table_and_what_it_does(cli, tiny):
    result = cli("bench", "tiny", "--streams", "1,2", *SMALL)
    assert result.code == 0
    assert result.lines[0].startswith("tiny:latest: loaded in ")
    assert result.lines[0].endswith(" 1 threads; 20 tokens of prompt, 8 of answer")
    assert re.split(r" {2,}", result.lines[2].strip()) == [
        "STREAMS", "FIRST TOKEN", "LAST FIRST", "PROMPT TOK/S", "TOK/S EACH", "TOK/S ALL",
    ]  # fmt: skip
    assert [line.split()[0] for line in result.lines[3:]] == ["1", "2"]
    assert result.err.splitlines()[1:] == ["1 at a time", "2 at a time"]


@pytest.mark.model
def test_bench_gives_scripts_numbers(cli, tiny):
    result = cli("bench", "tiny", "--json", "--streams", "2", "--ctx", 100, *SMALL)
    (speed,) = result.json["speeds"]
    assert (result.json["n_ctx"], result.json["threads"], speed["streams"]) == (100, 1, 2)
    assert speed["prompt_rate"] > 0
    assert speed["decode_rate"] == pytest.approx(2 * speed["stream_rate"])


@pytest.mark.parametrize(
    "words",
    [
        ("--streams", "0"),
        ("--streams", "one"),
        ("--streams", ""),
        ("--streams", "1000"),
        ("--prompt", 100, "--ctx", 50),
    ],
)
def test_bench_refuses_what_cannot_be_measured(cli, words):
    assert cli("bench", "tiny", *words).error(2)


def test_bench_of_a_model_that_is_not_there(cli, store):
    assert cli("bench", "nothing").code in (2, 3)


@pytest.mark.model
def test_bench_of_more_than_the_model_was_trained_for(cli, tiny):
    result = cli("bench", "tiny", "--prompt", 2_000_000)
    assert result.code == 2
    assert "has a context of" in result.err


def test_an_answer_that_fails_is_the_engines_error():
    decoder = Steps()
    decoder.fails_next = EngineError("no room")
    loop = Loop(decoder, bench._Endless(), Bounds(n_ctx=64, n_batch=16))
    with pytest.raises(EngineError, match="no room"):
        bench.measure(loop, [(1, 2, 3)], 4)
