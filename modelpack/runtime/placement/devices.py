"""What this machine has: memory and devices, read anew at each call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from modelpack.runtime.placement.amd import read_amd
from modelpack.runtime.placement.memory import read_memory
from modelpack.runtime.placement.nvidia import Library, read_nvidia
from modelpack.runtime.placement.system import System

_ROOT = Path("/")


def read_system(
    *,
    can_offload: bool = True,
    environment: Mapping[str, str] | None = None,
    root: Path = _ROOT,
    nvml: Library | None = None,
) -> System:
    """Return memory and devices; *can_offload* says whether the installed llama.cpp uses a GPU.

    *root* is where `/proc` and `/sys` lie and *nvml* what is asked about NVIDIA's devices; both
    are for tests. Never raises: what cannot be read is not there, and the notes say why.
    """
    variables = os.environ if environment is None else environment
    memory = read_memory(root)
    found = read_nvidia(variables, nvml), read_amd(variables, memory.available, root)
    return System(
        memory=memory,
        devices=tuple(device for one in found for device in one.devices),
        notes=tuple(one.note for one in found if one.note),
        can_offload=can_offload,
    )
