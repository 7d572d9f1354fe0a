"""A placement: which device has how much of a model, and how llama.cpp is told so."""

from __future__ import annotations

from dataclasses import dataclass

from modelpack.runtime.placement.system import Device

_VARIABLES = {"cuda": "CUDA_VISIBLE_DEVICES", "rocm": "ROCR_VISIBLE_DEVICES"}


@dataclass(frozen=True, slots=True)
class Share:
    """What one device gets."""

    device: Device
    layers: int
    """Blocks, and the output counts as one."""
    size: int
    """Bytes, buffers included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a model lies; sizes in bytes."""

    n_gpu_layers: int
    """Layers on GPUs, counted from the end of the model; the output counts as one."""
    layers: int
    """Layers in all: the blocks and the output."""
    shares: tuple[Share, ...] = ()
    """Devices that get something, in the order of the layers."""
    cpu_size: int
    """Bytes in the memory of the CPU."""
    fits: bool = True
    """False where more was asked for (by `num_gpu`) than seems to fit."""

    @property
    def gpu_size(self) -> int:
        """Bytes on GPUs, as `size_vram` of Ollama's `ps` counts them."""
        return self.size if self.is_whole else sum(share.size for share in self.shares)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.cpu_size + sum(share.size for share in self.shares)

    @property
    def is_whole(self) -> bool:
        """Whether every layer is on a GPU; the embeddings are on the CPU all the same."""
        return bool(self.shares) and self.n_gpu_layers == self.layers

    @property
    def tensor_split(self) -> tuple[float, ...]:
        """Parts of the layers for llama.cpp, one for each device that `environment` leaves."""
        return tuple(float(share.layers) for share in self.shares)

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which a process sees just the devices of this placement, in order.

        They must be set before the process loads llama.cpp. Where no device has a layer, none are:
        long prompts are computed on GPUs all the same.
        """
        if not self.shares:
            return {}
        backend = self.shares[0].device.backend
        chosen = {_VARIABLES[backend]: ",".join(share.device.id for share in self.shares)}
        if backend == "rocm":  # it selects among the devices that ROCR leaves
            chosen["HIP_VISIBLE_DEVICES"] = ",".join(str(i) for i in range(len(self.shares)))
        return chosen

    @property
    def processor(self) -> str:
        """The column PROCESSOR of Ollama's `ps`."""
        return processor(self.size, self.gpu_size)


def processor(size: int, size_vram: int) -> str:
    """Return what Ollama's `ps` shows for a model of *size* bytes, *size_vram* on GPUs."""
    if size_vram == 0:
        return "100% CPU"
    if size_vram == size:
        return "100% GPU"
    if size_vram > size or size == 0:
        return "Unknown"
    cpu = int((size - size_vram) / size * 100 + 0.5)
    return f"{cpu}%/{100 - cpu}% CPU/GPU"
