from __future__ import annotations

import pytest

from modelpack.engine.attention import PLAIN_UP_TO, SHORT, is_flash, rows_of
from modelpack.engine.base import LoadOptions
from modelpack.errors import InputError

PLAIN = LoadOptions(weights=())


def test_processors_compute_plainly_while_the_context_is_not_too_long():
    assert not is_flash(PLAIN, 4096, on_gpu=False)
    assert not is_flash(PLAIN, PLAIN_UP_TO, on_gpu=False)
    assert is_flash(PLAIN, PLAIN_UP_TO + 1, on_gpu=False)
    assert is_flash(PLAIN, 4096, on_gpu=True)


@pytest.mark.parametrize("file_type", ["0", "1", "32"])
def test_weights_that_are_not_quantized_have_what_is_faster(file_type):
    assert is_flash(PLAIN, SHORT, on_gpu=False, file_type=file_type)
    assert not is_flash(PLAIN, SHORT + 1, on_gpu=False, file_type=file_type)
    assert not is_flash(PLAIN, SHORT, on_gpu=False, file_type="15")
    off = LoadOptions(weights=(), flash_attention="off")
    assert not is_flash(off, SHORT, on_gpu=False, file_type=file_type)


def test_what_is_wanted_is_done():
    on = LoadOptions(weights=(), flash_attention="on")
    off = LoadOptions(weights=(), flash_attention="off")
    assert is_flash(on, 4096, on_gpu=False)
    assert not is_flash(off, PLAIN_UP_TO + 1, on_gpu=True)


def test_small_keys_and_values_need_flash_attention():
    assert is_flash(LoadOptions(weights=(), kv_cache_type="q8_0"), 4096, on_gpu=False)
    with pytest.raises(InputError, match="q4_0 needs flash attention"):
        is_flash(
            LoadOptions(weights=(), kv_cache_type="q4_0", flash_attention="off"),
            4096,
            on_gpu=False,
        )


def test_plain_attention_has_fewer_rows_at_once():
    assert rows_of(512, flash=True) == 512
    assert rows_of(512, flash=False) == 128
    assert rows_of(64, flash=False) == 64
