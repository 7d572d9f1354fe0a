"""Where the model of a worker lies: its plan, told to llama.cpp."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelpack.engine import llamacpp
from modelpack.errors import EngineError, InputError, NotFoundError
from modelpack.runtime.placement.devices import read_system
from modelpack.runtime.placement.plan import needs_of, plan

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.placement.placed import Placement
    from modelpack.runtime.placement.system import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a model takes of memory, in bytes as estimated; 0 where that is not known."""

    size: int = 0
    size_vram: int = 0
    processor: str = ""
    """What computes, as Ollama says it; empty where that is not known."""


def settle(files: ModelFiles, options: LoadOptions) -> tuple[LoadOptions, Memory]:
    """Return *options* with as many layers on GPUs as fit, and what that takes.

    Of several GPUs this process sees only those that get something from now on, unless users say
    themselves which. So llama.cpp must not have been loaded before. Where it uses devices
    whose memory nobody tells us, it is left to it.

    Raises:
        EngineError: there is not enough memory.
    """
    system = read_system()
    chosen = _choose(files, options, system)
    if chosen is not None:
        os.environ.update(chosen.environment)
    can_offload = bool(llamacpp.library().llama_supports_gpu_offload())
    if can_offload and not system.devices:
        return options, without_plan(files, options)
    if not can_offload:
        chosen = None
    try:
        placed = chosen or plan(files, options, replace(system, can_offload=can_offload))
    except (NotFoundError, InputError):  # loading says what is wrong with a file
        return options, Memory()
    memory = Memory(size=placed.size, size_vram=placed.gpu_size, processor=placed.processor)
    options = replace(options, n_gpu_layers=placed.n_gpu_layers)
    if chosen is not None and llamacpp.count_gpus() == len(placed.shares) > 1:
        options = replace(options, tensor_split=placed.tensor_split)
    return options, memory


def without_plan(files: ModelFiles, options: LoadOptions) -> Memory:
    """Return what the model takes, wherever it lies."""
    try:
        return Memory(size=needs_of(files, options).total)
    except (NotFoundError, InputError):
        return Memory()


def _choose(files: ModelFiles, options: LoadOptions, system: System) -> Placement | None:
    """Return a plan for several GPUs, if there are as many and nobody else has made one."""
    if len(system.devices) < 2 or options.tensor_split or options.main_gpu:
        return None
    try:
        return plan(files, options, system)
    except (EngineError, NotFoundError, InputError):  # told when llama.cpp says what it can use
        return None
