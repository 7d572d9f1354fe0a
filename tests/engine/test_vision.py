"""Pictures in the engine: computed as llama.cpp's own helper computes them."""

from __future__ import annotations

import ctypes
import math

import pytest
from engine.made import write_qwen2vl
from engine.real import TINY, require
from engine.seeing import png, write_projector

from modelpack.engine import llamacpp
from modelpack.engine.base import LoadOptions, Request
from modelpack.engine.media import is_media
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError

pytestmark = pytest.mark.model

PICTURE = png(90, 60)
BEFORE, BEHIND = "Look here: ", "The capital of France is"


@pytest.fixture(scope="module", params=["llava", "qwen"])
def engine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeing")
    if request.param == "llava":
        weights, width, kind = require(TINY), 128, "mlp"
    else:
        weights, width, kind = write_qwen2vl(folder / "model.gguf"), 64, "qwen2vl_merger"
    projector = write_projector(folder / "projector.gguf", width=width, kind=kind)
    options = LoadOptions(
        weights=(weights,),
        projectors=(projector,),
        n_ctx=256,
        n_threads=1,
        flash_attention="off",
    )
    with llamacpp.load(options) as engine:
        yield engine


def prompt(engine) -> Request:
    sight = engine.see(PICTURE)
    before, behind = (engine.vocabulary.tokenize(text, special=True) for text in (BEFORE, BEHIND))
    return Request(
        tokens=(*before, *sight.tokens, *behind),
        media=sight.media,
        sampling=Sampling(temperature=0, num_predict=1),
        logprobs=True,
        top_logprobs=5,
    )


def told_by_the_helper(engine) -> list[float]:
    """The logits behind the prompt, all of which llama.cpp's helper computes."""
    library, mtmd, handle = llamacpp.library(), llamacpp.mtmd(), engine.vision._handle
    params = library.llama_context_default_params()
    params.n_ctx, params.flash_attn_type = 256, library.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_threads = params.n_threads_batch = 1
    context = library.llama_init_from_model(engine.model, params)
    chunks, after = mtmd.mtmd_input_chunks_init(), ctypes.c_int32()
    buffer = (ctypes.c_uint8 * len(PICTURE)).from_buffer_copy(PICTURE)
    bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(handle, buffer, len(PICTURE), False)
    said = BEFORE.encode() + mtmd.mtmd_default_marker() + BEHIND.encode()
    text = mtmd.mtmd_input_text(said, len(said), False, True)
    bitmaps = (ctypes.c_void_p * 1)(bitmap)
    assert not mtmd.mtmd_tokenize(handle, chunks, ctypes.byref(text), bitmaps, 1)
    assert not mtmd.mtmd_helper_eval_chunks(
        handle, context, chunks, 0, 0, 256, True, ctypes.byref(after)
    )
    size = engine.vocabulary.size
    logits = library.llama_get_logits_ith(context, -1)[:size]
    library.llama_free(context)
    mtmd.mtmd_bitmap_free(bitmap)
    mtmd.mtmd_input_chunks_free(chunks)
    return logits


def test_a_picture_is_computed_as_llama_cpp_s_helper_does(engine):
    (piece, _) = engine.loop.run(prompt(engine))
    logits = told_by_the_helper(engine)
    norm = math.log(sum(math.exp(logit - max(logits)) for logit in logits)) + max(logits)
    for likely in piece.logprobs[0].top:
        assert likely.logprob == pytest.approx(logits[likely.token] - norm, abs=2e-3)


def test_a_picture_seen_lately_is_not_encoded_again(engine):
    assert engine.see(PICTURE) is engine.see(PICTURE)
    assert engine.see(PICTURE).media[0].number != engine.see(png(60, 90)).media[0].number


def test_a_prompt_cannot_end_with_a_picture(engine):
    request = prompt(engine)
    tokens = request.tokens[: max(at for at, t in enumerate(request.tokens) if is_media(t)) + 1]
    with pytest.raises(EngineError, match="ends with an image"):
        engine.loop.submit(Request(tokens=tokens, media=request.media))


def test_a_picture_that_takes_too_much_is_refused(engine):
    with pytest.raises(EngineError, match="fit at once"):
        engine.vision.see(png(41, 41), most=2)


def test_a_model_without_a_projector_says_so():
    options = LoadOptions(weights=(require(TINY),), n_ctx=64, n_threads=1)
    with llamacpp.load(options) as engine, pytest.raises(EngineError, match="look at images"):
        engine.see(PICTURE)
