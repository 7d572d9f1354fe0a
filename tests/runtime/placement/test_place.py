from __future__ import annotations

import random

import pytest
from runtime.placement import giants

from modelpack.engine.base import Adapter, LoadOptions
from modelpack.errors import EngineError, GgufError
from modelpack.limits import GiB, MiB
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.placement.estimate import Block, Needs
from modelpack.runtime.placement.place import MARGIN, place
from modelpack.runtime.placement.placed import processor
from modelpack.runtime.placement.plan import needs_of, plan
from modelpack.runtime.placement.system import Device, Memory, System

ROUNDS = 400


def gpu(free, index=0, backend="cuda", *, integrated=False):
    name = f"GPU-{index}" if backend == "cuda" else str(index)
    return Device(backend=backend, id=name, name="x", free=free, total=free, integrated=integrated)


def machine(*free, ram=64 * GiB, can_offload=True):
    devices = tuple(gpu(size, index) for index, size in enumerate(free))
    memory = Memory(total=ram, available=ram)
    return System(memory=memory, devices=devices, can_offload=can_offload)


def needs(blocks=32, weights=200 * MiB, context=16 * MiB, **others):
    sizes = {
        "embeddings": 300 * MiB,
        "output": 300 * MiB,
        "layer_buffers": 100 * MiB,
        "output_buffers": 270 * MiB,
        "results": MiB,
        **others,
    }
    return Needs(blocks=(Block(weights, context),) * blocks, **sizes)


def by_chance(draw):
    return Needs(
        blocks=tuple(
            Block(draw.randrange(1, 500) * MiB, draw.randrange(100) * MiB)
            for _ in range(draw.randrange(1, 50))
        ),
        embeddings=draw.randrange(500) * MiB,
        output=draw.randrange(500) * MiB,
        shared_output=draw.choice((0, 300 * MiB)),
        layer_buffers=draw.randrange(300) * MiB,
        output_buffers=draw.randrange(300) * MiB,
        projectors=draw.choice((0, 800 * MiB)),
    )


def split_of_llama_cpp(placement):
    """The device of each layer, as llama.cpp works it out from a placement."""
    parts = placement.tensor_split
    sums = [sum(parts[: i + 1]) / sum(parts) for i in range(len(parts))]
    start = max(placement.layers - placement.n_gpu_layers, 0)
    layers = range(placement.layers)
    share = min(placement.n_gpu_layers, placement.layers)
    return [
        next(i for i, upto in enumerate(sums) if upto > (layer - start) / share)
        for layer in layers
        if layer >= start
    ]


def test_everything_goes_on_one_device_that_has_room():
    placed = place(needs(), machine(16 * GiB, 24 * GiB))
    assert [(share.device.id, share.layers) for share in placed.shares] == [("GPU-1", 33)]
    assert (placed.n_gpu_layers, placed.tensor_split) == (33, (33.0,))
    assert placed.processor == "100% GPU"
    assert placed.environment == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


def test_several_devices_share_what_one_has_no_room_for():
    placed = place(needs(), machine(6 * GiB, 6 * GiB))
    assert placed.is_whole
    assert [share.device.id for share in placed.shares] == ["GPU-0", "GPU-1"]
    assert sum(share.layers for share in placed.shares) == 33
    assert placed.environment == {"CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1"}


def test_what_does_not_fit_stays_behind_and_the_output_goes_first():
    placed = place(needs(), machine(5 * GiB))
    assert 0 < placed.n_gpu_layers < 33
    assert placed.processor.endswith(" CPU/GPU")
    one = place(needs(), machine(64 * GiB), num_gpu=1)
    assert one.shares[0].size > needs().output + needs().output_buffers - MiB


def test_num_gpu_is_obeyed():
    assert place(needs(), machine(64 * GiB), num_gpu=0).processor == "100% CPU"
    assert place(needs(), machine(64 * GiB), num_gpu=10).n_gpu_layers == 10
    assert place(needs(), machine(64 * GiB), num_gpu=999).n_gpu_layers == 33
    forced = place(needs(), machine(2 * GiB, 4 * GiB), num_gpu=30)
    assert (forced.n_gpu_layers, forced.fits) == (30, False)
    assert sum(share.layers for share in forced.shares) == 30


def test_a_build_without_gpus_computes_on_the_cpu():
    placed = place(needs(), machine(64 * GiB, can_offload=False))
    assert (placed.n_gpu_layers, placed.processor, placed.shares) == (0, "100% CPU", ())
    assert placed.environment == {}


def test_graphics_within_the_processor_are_for_want_of_better():
    memory = Memory(total=64 * GiB, available=64 * GiB)
    small, card = gpu(32 * GiB, 0, "rocm", integrated=True), gpu(16 * GiB, 1, "rocm")
    both = place(needs(), System(memory=memory, devices=(small, card)))
    assert [share.device.id for share in both.shares] == ["1"]
    assert both.environment == {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}
    alone = place(needs(), System(memory=memory, devices=(small,)))
    assert [share.device.id for share in alone.shares] == ["0"]


def test_a_model_that_fits_nowhere_is_refused_with_numbers():
    with pytest.raises(EngineError) as caught:
        place(needs(), machine(3 * GiB, ram=2 * GiB))
    text = str(caught.value)
    assert "the model needs 7.6 GiB (weights 6.8 GiB, context 0.5 GiB, buffers 0.3 GiB)" in text
    assert text.endswith("there is 2.0 GiB of memory and 3.0 GiB on GPUs")
    assert "smaller weights" in (caught.value.hint or "")
    with pytest.raises(EngineError) as caught:
        place(needs(context=600 * MiB), machine(ram=24 * GiB))
    assert "num_ctx" in (caught.value.hint or "")


@pytest.mark.parametrize("seed", range(4))
def test_no_device_gets_more_than_is_free_and_every_layer_lies_once(seed):
    draw = random.Random(seed)
    for _ in range(ROUNDS):
        wanted = by_chance(draw)
        free = [draw.randrange(24) * GiB // 2 for _ in range(draw.randrange(4))]
        placed = place(wanted, machine(*free, ram=1024 * GiB))
        count = len(wanted.blocks) + 1
        assert placed.layers == count
        assert sum(share.layers for share in placed.shares) == placed.n_gpu_layers <= count
        assert all(share.size <= share.device.free - MARGIN for share in placed.shares)
        assert all(share.layers > 0 for share in placed.shares)
        if placed.shares:
            expected = [i for i, s in enumerate(placed.shares) for _ in range(s.layers)]
            assert split_of_llama_cpp(placed) == expected
        assert placed.size >= wanted.weights + wanted.context
        assert placed.size >= placed.gpu_size >= 0


@pytest.mark.parametrize("seed", range(4))
def test_more_memory_never_means_fewer_layers_on_gpus(seed):
    draw = random.Random(100 + seed)
    for _ in range(ROUNDS):
        wanted = by_chance(draw)
        free = [draw.randrange(24) * GiB // 2 for _ in range(draw.randrange(1, 4))]
        more = list(free)
        more[draw.randrange(len(more))] += draw.randrange(1, 4096) * MiB
        before = place(wanted, machine(*free, ram=1024 * GiB))
        after = place(wanted, machine(*more, ram=1024 * GiB))
        assert after.n_gpu_layers >= before.n_gpu_layers


@pytest.mark.parametrize(
    ("size", "vram", "text"),
    [
        (100, 0, "100% CPU"),
        (100, 100, "100% GPU"),
        (100, 52, "48%/52% CPU/GPU"),
        (1000, 995, "1%/99% CPU/GPU"),
        (200, 199, "1%/99% CPU/GPU"),
        (0, 0, "100% CPU"),
        (10, 20, "Unknown"),
    ],
)
def test_the_processor_reads_as_ollama_writes_it(size, vram, text):
    assert processor(size, vram) == text


def files_of(path, **others):
    return ModelFiles(name="m", weights=(path,), **others)


def test_a_plan_reads_headers_and_places(tmp_path):
    path = giants.write_giant(tmp_path / "giant.gguf", giants.LLAMA_8B)
    options = LoadOptions(weights=(path,), n_ctx=8192, slots=2)
    placed = plan(files_of(path), options, machine(24 * GiB))
    assert (placed.processor, placed.n_gpu_layers) == ("100% GPU", 33)
    part = plan(files_of(path), options, machine(8 * GiB))
    assert 0 < part.n_gpu_layers < 33
    assert needs_of(files_of(path), options).context == 2 * GiB
    assert needs_of(files_of(path), LoadOptions(weights=(path,))).context == GiB // 2


def test_a_plan_counts_projectors_and_refuses_what_is_no_model(tmp_path):
    path = giants.write_giant(tmp_path / "giant.gguf", giants.LLAMA_8B)
    options = LoadOptions(weights=(path,))
    projector = tmp_path / "projector"
    projector.write_bytes(bytes(5000))
    assert needs_of(files_of(path, projectors=(projector,)), options).projectors == 5000
    bad = LoadOptions(weights=(path,), adapters=(Adapter(projector),))
    with pytest.raises(GgufError):
        plan(files_of(path), bad, machine(8 * GiB))
    with pytest.raises(EngineError):
        plan(ModelFiles(name="m", weights=()), LoadOptions(weights=()), machine())
