from __future__ import annotations

import pytest
from engine.real import ANSWER, TINY, asked, request, require

from modelpack.engine.base import LoadOptions
from modelpack.engine.llamacpp import load
from modelpack.errors import EngineError, InputError, StoppedError

pytestmark = pytest.mark.model


def options(**others) -> LoadOptions:
    return LoadOptions(weights=(require(TINY),), n_threads=1, **others)


def test_progress_goes_from_nothing_to_everything_and_the_model_works():
    seen: list[float] = []
    with load(options(), progress=seen.append) as engine:
        *pieces, _ = engine.loop.run(request(engine, asked(), temperature=0))
    assert "".join(piece.text for piece in pieces) == ANSWER
    assert (seen[0], seen[-1]) == (0, 1)
    assert seen == sorted(seen)
    assert len(seen) > 3


@pytest.mark.parametrize("bound", [0.0, 0.5, 1.0])
def test_loading_can_be_given_up_at_any_time(bound):
    with pytest.raises(StoppedError, match="given up"):
        load(options(), progress=lambda part: part < bound)


def test_what_progress_raises_comes_out():
    def complain(part: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(options(), progress=complain)


def test_a_file_that_is_no_model_is_still_told_as_such(tmp_path):
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"not a model" * 100)
    with pytest.raises(EngineError, match="cannot load"):
        load(LoadOptions(weights=(bad,)), progress=lambda part: None)


@pytest.mark.parametrize(
    "others",
    [
        {"flash_attention": "on"},
        {"flash_attention": "off"},
        {"kv_cache_type": "q8_0"},
        {"kv_cache_type": "q4_0", "flash_attention": "on"},
        {"tensor_split": (3.0, 1.0)},
    ],
    ids=str,
)
def test_a_model_answers_however_it_is_loaded(others):
    with load(options(**others)) as engine:
        *pieces, _ = engine.loop.run(request(engine, asked(), temperature=0, num_predict=20))
    assert "".join(piece.text for piece in pieces) == ANSWER


@pytest.mark.parametrize(
    ("others", "complaint"),
    [
        ({"kv_cache_type": "q8_0", "flash_attention": "off"}, "needs flash attention"),
        ({"tensor_split": (0.0, 0.0)}, "tensor_split"),
        ({"tensor_split": (-1.0, 2.0)}, "tensor_split"),
        ({"tensor_split": (float("nan"),)}, "tensor_split"),
        ({"tensor_split": (1.0,) * 1000}, "tensor_split"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_not_loaded(others, complaint):
    with pytest.raises(InputError, match=complaint):
        load(options(**others))
