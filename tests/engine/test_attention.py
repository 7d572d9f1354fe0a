from __future__ import annotations

from modelpack.engine.attention import PLAIN_UP_TO, is_flash, rows_of


def test_processors_compute_plainly_while_the_context_is_not_too_long():
    assert not is_flash(4096, on_gpu=False)
    assert not is_flash(PLAIN_UP_TO, on_gpu=False)
    assert is_flash(PLAIN_UP_TO + 1, on_gpu=False)
    assert is_flash(4096, on_gpu=True)


def test_plain_attention_has_fewer_rows_at_once():
    assert rows_of(512, flash=True) == 512
    assert rows_of(512, flash=False) == 128
    assert rows_of(64, flash=False) == 64
