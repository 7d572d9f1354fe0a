from __future__ import annotations

import pytest

from modelpack.runtime.placement.advice import about_devices, about_library, about_processor
from modelpack.runtime.placement.cpu import read_processor, read_quota
from modelpack.runtime.placement.library import Library, probe_library
from modelpack.runtime.placement.system import Device

BUILD = Library(
    installed=True,
    version="0.3.36",
    system_info="CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | AVX512 = 0 | "
    "REPACK = 1 | ",
)
CUDA = Library(
    installed=True,
    can_offload=True,
    system_info="CUDA : ARCHS = 890 | USE_GRAPHS = 1 | CPU : SSE3 = 1 | AVX2 = 1 | ",
)
CARD = Device(backend="cuda", id="GPU-1", name="x", free=1, total=1)
RADEON = Device(backend="rocm", id="0", name="x", free=1, total=1, architecture="gfx1100")


def test_the_features_and_backends_of_a_build_are_read():
    assert BUILD.features == {"SSE3", "AVX", "AVX2", "F16C", "FMA", "REPACK"}
    assert (BUILD.backends, CUDA.backends) == (("CPU",), ("CUDA", "CPU"))
    assert "SSE3" in CUDA.features


def test_features_that_a_build_leaves_unused_are_named(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu avx avx2 f16c fma bmi2 avx512f "
        "avx512_vnni amx_int8\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    processor = read_processor(tmp_path)
    assert processor.name == "A Processor"
    unused = processor.unused(BUILD.features)
    assert unused == ("BMI2", "AVX512", "AVX512_VNNI", "AMX_INT8")
    (advice,) = about_processor(unused, BUILD)
    assert advice.kind == "slow"
    assert advice.do.startswith('CMAKE_ARGS="-DGGML_NATIVE=on" pip install')
    assert about_processor((), BUILD) == []
    assert read_processor(tmp_path / "nowhere").features == ()


@pytest.mark.parametrize(
    ("devices", "library", "cards", "notes", "words"),
    [
        ([CARD], BUILD, ["0x10de"], [], ["-DGGML_CUDA=on"]),
        ([RADEON], BUILD, ["0x1002"], [], ["-DGGML_HIP=on -DAMDGPU_TARGETS=gfx1100"]),
        ([CARD], CUDA, ["0x10de"], [], []),
        ([], CUDA, ["0x10de"], ["NVIDIA: not loaded"], ["--gpus all"]),
        ([], CUDA, ["0x10de"], ["nvidia-ml-py is not installed"], ["modelpack-oci[runtime]"]),
        ([], CUDA, ["0x10de"], ["CUDA_VISIBLE_DEVICES='' leaves none of 2 devices"], []),
        ([], BUILD, ["0x1002"], [], ["-DGGML_VULKAN=on"]),
        ([], BUILD, ["0x8086"], [], []),
    ],
)
def test_a_gpu_that_is_not_used_is_worth_a_word(devices, library, cards, notes, words):
    found = about_devices(devices, library, cards, notes)
    assert len(found) == len(words)
    for advice, word in zip(found, words, strict=True):
        assert word in advice.do


def test_a_library_that_is_missing_or_broken_is_said_so():
    assert about_library(BUILD) == []
    assert about_library(Library(installed=False))[0].kind == "missing"
    assert about_library(Library(installed=True, error="x"))[0].kind == "broken"


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.model
def test_a_library_is_asked_in_another_process(tmp_path):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    said = probe_library()
    assert (said.installed, said.error) == (True, "")
    assert said.path.endswith("so") or said.path.endswith("dylib")
    assert "CPU" in said.backends
    killed = probe_library(script(tmp_path / "killed", "kill -ILL $$"))
    assert killed.error == "loading it ends the process (SIGILL)"
    assert killed.version == said.version
    failed = probe_library(script(tmp_path / "failed", "echo one >&2; echo two >&2; exit 1"))
    assert failed.error == "two"
    slow = probe_library(script(tmp_path / "slow", "exec sleep 60"), timeout_s=0.2)
    assert "takes more than" in slow.error
    assert probe_library(script(tmp_path / "odd", "echo what")).error
    assert probe_library(str(tmp_path / "nothing")).error


def test_a_quota_of_processor_time_is_read(tmp_path):
    assert read_quota(tmp_path) == 0
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("150000 100000\n")
    assert read_quota(tmp_path) == 1.5
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert read_quota(tmp_path) == 0
