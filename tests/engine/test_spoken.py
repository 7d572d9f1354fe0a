from __future__ import annotations

from dataclasses import replace

import pytest
from engine.real import load_weights, request

from modelpack.engine.base import Delta

pytestmark = pytest.mark.model


def test_a_control_token_is_text_only_where_it_is_wanted():
    with load_weights() as engine:
        (token,) = engine.vocabulary.tokenize("<|im_start|>", special=True)
        ask = request(engine, "Hi", num_predict=2, logit_bias=((token, 1000.0),))
        silent = [event for event in engine.loop.run(ask) if isinstance(event, Delta)]
        said = [
            event.text
            for event in engine.loop.run(replace(ask, spoken=frozenset([token])))
            if isinstance(event, Delta)
        ]
    assert silent == []
    assert "".join(said) == "<|im_start|>" * 2
