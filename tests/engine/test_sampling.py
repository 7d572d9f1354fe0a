from __future__ import annotations

import pytest

from modelpack.engine.sampling import Sampling, Stage, count_candidates, plan_chain
from modelpack.modelfile.parameters import PARAMETERS


def names(sampling: Sampling) -> list[str]:
    return [stage.name for stage in plan_chain(sampling, n_ctx=512)]


def test_the_defaults_are_those_of_the_parameter_table():
    for name in set(Sampling.__dataclass_fields__) - {"logit_bias"}:  # of OpenAI's API only
        default = PARAMETERS[name].default
        assert getattr(Sampling(), name) == (() if default is None else default), name


def test_the_default_chain_leaves_out_what_changes_nothing():
    assert names(Sampling()) == ["top_k", "top_p", "temp", "dist"]


def test_a_full_chain_cuts_to_top_k_before_anything_sorts():
    full = Sampling(repeat_penalty=1.1, typical_p=0.5, min_p=0.05)
    assert names(full) == ["penalties", "top_k", "typical", "top_p", "min_p", "temp", "dist"]


def test_temperature_zero_is_greedy_and_keeps_the_penalties():
    assert names(Sampling(temperature=0)) == ["greedy"]
    assert names(Sampling(temperature=0, presence_penalty=0.5)) == ["penalties", "greedy"]


def test_penalties_look_back_over_the_context_at_minus_one_and_nowhere_at_zero():
    chain = plan_chain(Sampling(repeat_last_n=-1, repeat_penalty=1.2), n_ctx=512)
    assert chain[0] == Stage("penalties", (512, 1.2, 0.0, 0.0))
    assert "penalties" not in names(Sampling(repeat_last_n=0, repeat_penalty=1.2))


@pytest.mark.parametrize("most", [513, 400_000_000, 2**32, 2**40])
def test_penalties_never_look_back_further_than_the_context(most):
    chain = plan_chain(Sampling(repeat_last_n=most, repeat_penalty=1.2), n_ctx=512)
    assert chain[0] == Stage("penalties", (512, 1.2, 0.0, 0.0))


def test_a_top_k_beyond_every_vocabulary_does_not_wrap_around():
    chain = plan_chain(Sampling(top_k=2**32 + 1), n_ctx=8)
    assert chain[0] == Stage("top_k", (2**31 - 1,))


def test_a_seed_of_minus_one_is_the_largest_which_means_another_each_time():
    assert plan_chain(Sampling(seed=-1), n_ctx=8)[-1] == Stage("dist", (0xFFFFFFFF,))
    assert plan_chain(Sampling(seed=42), n_ctx=8)[-1] == Stage("dist", (42,))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 40),
        ({"temperature": 0}, 1),
        ({"top_k": 0}, 0),
        ({"repeat_penalty": 1.1}, 104),
        ({"repeat_penalty": 1.1, "repeat_last_n": -1}, 552),
        ({"repeat_penalty": 1.1, "repeat_last_n": 2**40}, 552),
        ({"temperature": 0, "presence_penalty": 0.1}, 65),
        ({"repeat_penalty": 0.9}, 0),
        ({"frequency_penalty": -0.1}, 0),
    ],
)
def test_as_many_candidates_are_enough_as_penalties_can_push_down(options, count):
    assert count_candidates(Sampling(**options), n_ctx=512) == count
