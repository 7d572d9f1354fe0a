"""What a machine has, as values: memory, and devices that compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Backend: TypeAlias = Literal["cuda", "rocm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of the CPU, in bytes."""

    total: int
    available: int
    """What can be taken without swapping, within the limit."""
    limit: int = 0
    """What a control group allows; 0 where it does not limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One GPU; memory in bytes."""

    backend: Backend
    id: str
    """How the environment selects it: a UUID for CUDA, a number for ROCm."""
    name: str
    free: int
    total: int
    integrated: bool = False
    """Whether its memory is the CPU's."""
    architecture: str = ""
    """Such as `8.9` for CUDA and `gfx1100` for ROCm."""
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What there is to place a model on."""

    memory: Memory
    devices: tuple[Device, ...] = ()
    notes: tuple[str, ...] = ()
    """Why there are no devices, or fewer than one might expect."""
    can_offload: bool = True
    """Whether the installed llama.cpp can use a GPU at all."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one kind of reader found, and why it is not more."""

    devices: tuple[Device, ...] = ()
    note: str = field(default="")
