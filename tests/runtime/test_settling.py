"""A plan for several GPUs reaches llama.cpp; the GPUs are made up."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from engine.real import TINY

from modelpack.engine import llamacpp
from modelpack.engine.base import LoadOptions
from modelpack.errors import EngineError
from modelpack.limits import GiB, MiB
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.placement.place import MARGIN
from modelpack.runtime.placement.system import Device, System
from modelpack.runtime.placement.system import Memory as Ram
from modelpack.runtime.worker import settling

FILES = ModelFiles(name="tiny", weights=(TINY,))
LITTLE, MUCH = MARGIN + 14 * MiB, MARGIN + GiB
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Machine:
    """One with GPUs that have as much memory *free*."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
        self.can_offload = True
        self.sees: int | None = None
        """GPUs that llama.cpp has whatever the environment says."""
        self.ram = 8 * GiB
        self._count = len(free)
        self._devices = tuple(
            Device(backend="cuda", id=f"GPU-{at}", name="x", free=size, total=80 * GiB)
            for at, size in enumerate(free)
        )
        monkeypatch.setattr(settling, "read_system", self._read)
        monkeypatch.setattr(llamacpp, "library", self._library)
        monkeypatch.setattr(llamacpp, "count_gpus", lambda: self._seen)
        monkeypatch.setattr(os, "environ", {})

    def settle(self, **options: object) -> tuple[LoadOptions, settling.Memory]:
        return settling.settle(FILES, LoadOptions(weights=FILES.weights, **options))

    def _read(self) -> System:
        return System(memory=Ram(total=self.ram, available=self.ram), devices=self._devices)

    def _library(self) -> SimpleNamespace:
        chosen = os.environ.get(VISIBLE)
        counted = self._count if chosen is None else len(chosen.split(","))
        self._seen = counted if self.sees is None else self.sees
        return SimpleNamespace(llama_supports_gpu_offload=lambda: self.can_offload)


def test_what_fits_on_one_gpu_sees_no_other(monkeypatch):
    options, memory = Machine(monkeypatch, LITTLE, MUCH, LITTLE).settle()
    assert os.environ == {VISIBLE: "GPU-1"}
    assert (options.n_gpu_layers, options.tensor_split) == (5, ())
    assert memory.processor == "100% GPU"


def test_gpus_that_share_a_model_have_what_was_planned(monkeypatch):
    options, memory = Machine(monkeypatch, LITTLE, MARGIN, LITTLE, LITTLE).settle()
    assert os.environ == {VISIBLE: "GPU-0,GPU-2,GPU-3"}
    assert (options.n_gpu_layers, options.tensor_split) == (5, (2.0, 2.0, 1.0))
    assert memory.size_vram == memory.size > 0


def test_where_llama_cpp_sees_others_it_shares_as_it_likes(monkeypatch):
    machine = Machine(monkeypatch, LITTLE, LITTLE, LITTLE)
    machine.sees = 4
    options, _ = machine.settle()
    assert (options.n_gpu_layers, options.tensor_split) == (5, ())


def test_one_gpu_is_found_without_being_named(monkeypatch):
    options, _ = Machine(monkeypatch, MUCH).settle()
    assert os.environ == {}
    assert (options.n_gpu_layers, options.tensor_split) == (5, ())


@pytest.mark.parametrize("said", [{"tensor_split": (3.0, 1.0)}, {"main_gpu": 1}])
def test_what_users_say_of_gpus_stays(monkeypatch, said):
    options, _ = Machine(monkeypatch, MUCH, MUCH).settle(**said)
    assert os.environ == {}
    assert {name: getattr(options, name) for name in said} == said


def test_without_layers_on_gpus_all_are_seen(monkeypatch):
    options, memory = Machine(monkeypatch, MUCH, MUCH).settle(n_gpu_layers=0)
    assert os.environ == {}
    assert (options.n_gpu_layers, memory.processor) == (0, "100% CPU")


def test_a_build_without_gpus_is_planned_without_them(monkeypatch):
    machine = Machine(monkeypatch, MUCH, MUCH)
    machine.can_offload = False
    options, memory = machine.settle()
    assert (options.n_gpu_layers, memory.size_vram, memory.processor) == (0, 0, "100% CPU")
    machine.ram = MiB
    with pytest.raises(EngineError, match="the model needs"):
        machine.settle()


def test_what_fits_nowhere_is_refused(monkeypatch):
    machine = Machine(monkeypatch, MARGIN, MARGIN)
    machine.ram = MiB
    with pytest.raises(EngineError, match=r"the model needs .* and 2\.0 GiB on GPUs"):
        machine.settle()


@pytest.mark.model
def test_a_build_for_processors_has_no_gpus():
    library = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    if library.llama_supports_gpu_offload():
        pytest.skip("this llama.cpp is built for GPUs")
    assert llamacpp.count_gpus() == 0
