"""Which layers of a model lie on which device.

Pure: what the model needs and what there is in, a placement out. It follows llama.cpp, where
`n_gpu_layers` counts from the end of the model: the output is the first layer that a GPU gets,
then the last block, then the one before. Devices get consecutive blocks, and the last of them
has the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack.errors import EngineError
from modelpack.limits import GiB
from modelpack.runtime.placement.placed import Placement, Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelpack.runtime.placement.estimate import Needs
    from modelpack.runtime.placement.system import Device, System

MARGIN = GiB
"""Bytes of each device that stay free: for the driver's own use, and for others."""


def place(needs: Needs, system: System, *, num_gpu: int = -1, margin: int = MARGIN) -> Placement:
    """Return where a model that needs *needs* lies on *system*.

    *num_gpu* is the number of layers for GPUs, as many as fit if negative. A single device is
    preferred where it has room for everything.

    Raises:
        EngineError: there is not enough memory of all kinds.
    """
    count = len(needs.blocks) + 1
    devices = _usable(system) if num_gpu else ()
    rooms = [max(0, device.free - margin) for device in devices]
    found: Placement | None = None
    if num_gpu < 0:
        found = _most(needs, devices, rooms)
    elif devices:
        layers = min(num_gpu, count)
        found = _on_one(needs, devices, rooms, layers) or _fill(needs, devices, rooms, layers)
        found = found or _force(needs, devices, rooms, layers)
    placed = found or Placement(n_gpu_layers=0, layers=count, cpu_size=needs.total)
    if placed.cpu_size > system.memory.available:
        raise _refusal(needs, placed, system)
    return placed


def _usable(system: System) -> tuple[Device, ...]:
    """Return the devices that one process can use together, those with memory of their own first.

    A llama.cpp is built for one kind; where there are several, the one with most memory counts.
    """
    if not system.can_offload:
        return ()
    own = [device for device in system.devices if not device.integrated]
    devices = own or list(system.devices)
    free = {
        backend: sum(device.free for device in devices if device.backend == backend)
        for backend in sorted({device.backend for device in devices})
    }
    best = max(free, key=lambda backend: free[backend], default=None)
    return tuple(device for device in devices if device.backend == best)


def _most(needs: Needs, devices: Sequence[Device], rooms: Sequence[int]) -> Placement | None:
    whole = len(needs.blocks) + 1
    if found := _on_one(needs, devices, rooms, whole):
        return found
    for layers in range(whole, 0, -1):
        if found := _fill(needs, devices, rooms, layers):
            return found
    return None


def _on_one(
    needs: Needs, devices: Sequence[Device], rooms: Sequence[int], layers: int
) -> Placement | None:
    """Return all of *layers* on the device with most room, if it has room for them."""
    if not devices:
        return None
    best = max(range(len(devices)), key=lambda index: rooms[index])
    return _fill(needs, devices[best : best + 1], rooms[best : best + 1], layers)


def _fill(
    needs: Needs, devices: Sequence[Device], rooms: Sequence[int], layers: int
) -> Placement | None:
    """Return the last *layers* layers on *devices*, one filled after the other, if they fit."""
    sizes = _sizes(needs, layers)
    counts: list[int] = []
    at = 0
    for room in rooms:
        left = room - _fixed(needs, layers, first=not any(counts))
        count = 0
        while at < len(sizes) and sizes[at] <= left:
            left -= sizes[at]
            at += 1
            count += 1
        counts.append(count)
    return _placement(needs, devices, counts, layers) if at == len(sizes) else None


def _force(
    needs: Needs, devices: Sequence[Device], rooms: Sequence[int], layers: int
) -> Placement | None:
    """Return the last *layers* layers on *devices* in proportion to their room, fit or not."""
    total = sum(rooms) or 1
    counts: list[int] = []
    for index in range(len(devices)):
        upto = round(layers * sum(rooms[: index + 1]) / total)
        counts.append((layers if index + 1 == len(devices) else upto) - sum(counts))
    return _placement(needs, devices, counts, layers, fits=False)


def _sizes(needs: Needs, layers: int) -> list[int]:
    """Return the bytes of the last *layers* layers in order; the output is the last of them."""
    extra = max(0, needs.output_buffers - needs.layer_buffers)
    blocks = needs.blocks[len(needs.blocks) + 1 - layers :]
    return [*(block.size for block in blocks), needs.output + needs.shared_output + extra]


def _fixed(needs: Needs, layers: int, *, first: bool) -> int:
    """Return the bytes that a device needs before it has any layer.

    Where blocks stay behind, a GPU computes them too when there are many tokens, out of a copy.
    """
    behind = needs.blocks[: len(needs.blocks) + 1 - layers]
    copied = max((block.weights for block in behind), default=0)
    return needs.layer_buffers + copied + (needs.projectors if first else 0)


def _placement(
    needs: Needs,
    devices: Sequence[Device],
    counts: Sequence[int],
    layers: int,
    *,
    fits: bool = True,
) -> Placement:
    sizes = _sizes(needs, layers)
    shares: list[Share] = []
    at = 0
    for device, count in zip(devices, counts, strict=True):
        if count:
            size = sum(sizes[at : at + count]) + _fixed(needs, layers, first=not shares)
            shares.append(Share(device, count, size))
            at += count
    behind = needs.blocks[: len(needs.blocks) + 1 - layers]
    buffers = needs.layer_buffers if behind else 0
    return Placement(
        n_gpu_layers=layers,
        layers=len(needs.blocks) + 1,
        shares=tuple(shares),
        cpu_size=needs.embeddings + needs.results + buffers + sum(b.size for b in behind),
        fits=fits,
    )


def _refusal(needs: Needs, placed: Placement, system: System) -> EngineError:
    free = f"{_gib(system.memory.available)} of memory"
    vram = sum(device.free for device in _usable(system))
    if vram:
        free += f" and {_gib(vram)} on GPUs"
    parts = [f"weights {_gib(needs.weights)}", f"context {_gib(needs.context)}"]
    parts.append(f"buffers {_gib(needs.buffers)}")
    if needs.projectors:
        parts.append(f"projectors {_gib(needs.projectors)}")
    return EngineError(
        f"the model needs {_gib(needs.total)} ({', '.join(parts)}); there is {free}",
        hint=_way_out(needs, placed, system),
    )


def _way_out(needs: Needs, placed: Placement, system: System) -> str:
    missing = placed.cpu_size - system.memory.available
    if missing < needs.context // 2:
        return "lower the parameter num_ctx, or the number of parallel answers"
    if needs.context > needs.weights:
        return "lower the parameter num_ctx a lot, or take a smaller model"
    return "take a model with smaller weights (a stronger quantization), or end other programs"


def _gib(size: int) -> str:
    return f"{size / GiB:.1f} GiB"
