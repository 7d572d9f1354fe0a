"""What is slow, missing or broken about how models would run here, and what to do about it.

Pure: facts in, sentences out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from modelpack.runtime.placement.library import Library
from modelpack.runtime.placement.system import Device

Kind: TypeAlias = Literal["slow", "missing", "broken", "note"]

RUNTIME = "pip install 'modelpack-oci[runtime]'"
_REBUILD = "pip install --force-reinstall --no-cache-dir --no-deps 'llama-cpp-python>=0.3.36,<0.4'"
_NVIDIA, _AMD = "0x10de", "0x1002"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that could be better."""

    kind: Kind
    what: str
    do: str = ""
    """What helps: a sentence or a command."""


def rebuild(*flags: str) -> str:
    """Return the command that builds llama.cpp with the CMake options *flags*."""
    return f'CMAKE_ARGS="{" ".join(flags)}" {_REBUILD}'


def about_library(library: Library) -> list[Advice]:
    """Return what is wrong with the installation of llama.cpp itself."""
    if not library.installed:
        return [Advice("missing", "models can be packaged and moved, not run", RUNTIME)]
    if library.error:
        return [
            Advice(
                "broken",
                f"llama.cpp cannot be loaded: {library.error}",
                f"build it on this machine: {rebuild('-DGGML_NATIVE=on')}",
            )
        ]
    return []


def about_processor(unused: Sequence[str], library: Library) -> list[Advice]:
    """Return what to do where the build leaves features of the processor *unused*."""
    if not unused or not library.system_info:
        return []
    return [
        Advice(
            "slow",
            f"this build of llama.cpp does not use {', '.join(unused)}",
            rebuild("-DGGML_NATIVE=on"),
        )
    ]


def about_devices(
    devices: Sequence[Device], library: Library, cards: Collection[str], notes: Sequence[str]
) -> list[Advice]:
    """Return what to do where there are GPUs and llama.cpp cannot use them.

    *cards* has the PCI vendors of graphics cards, which may be there without a driver.
    """
    found: list[Advice] = []
    if devices and library.system_info and not library.can_offload:
        found.append(
            Advice(
                "slow",
                "there is a GPU, and this build of llama.cpp computes on the CPU only",
                rebuild(*_flags(devices[0])),
            )
        )
    kinds = {device.backend for device in devices}
    hidden = any("leaves none" in note for note in notes)
    if _NVIDIA in cards and "cuda" not in kinds and not hidden:
        found.append(_silent_nvidia(notes))
    if _AMD in cards and "rocm" not in kinds and not hidden:
        found.append(
            Advice(
                "slow",
                "there is an AMD card that ROCm does not know",
                f"llama.cpp may use it through Vulkan: {rebuild('-DGGML_VULKAN=on')}",
            )
        )
    return found


def _silent_nvidia(notes: Sequence[str]) -> Advice:
    if any("not installed" in note for note in notes):
        return Advice("missing", "there is an NVIDIA card, and nothing to ask it with", RUNTIME)
    return Advice(
        "slow",
        "there is an NVIDIA card, and its driver does not answer",
        "install the driver; in a container, start it with --gpus all",
    )


def _flags(device: Device) -> tuple[str, ...]:
    if device.backend == "cuda":
        return "-DGGML_CUDA=on", "-DCMAKE_CUDA_ARCHITECTURES=native"
    targets = (f"-DAMDGPU_TARGETS={device.architecture}",) if device.architecture else ()
    return ("-DGGML_HIP=on", *targets)
