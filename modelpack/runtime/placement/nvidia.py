"""NVIDIA's devices, through nvidia-ml-py: the only module that imports it.

NVML tells free memory without making a CUDA context, which would itself take some hundred
megabytes. Nothing that goes wrong here is an error: there are no devices then, and a note says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from modelpack.runtime.placement.system import Device, Found

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Library(Protocol):
    """The functions of NVML that are called, under nvidia-ml-py's names."""

    def nvmlInit(self) -> None:  # noqa: N802
        """Begin."""

    def nvmlShutdown(self) -> None:  # noqa: N802
        """End."""

    def nvmlSystemGetDriverVersion(self) -> str | bytes:  # noqa: N802
        """Return the version of the driver."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Return the number of devices."""

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> object:  # noqa: N802
        """Return device *index*, in the order of the bus."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> object:  # noqa: N802
        """Return the device, or part of one, called *uuid*."""

    def nvmlDeviceGetUUID(self, handle: object, /) -> str | bytes:  # noqa: N802
        """Return the name that CUDA selects it by."""

    def nvmlDeviceGetName(self, handle: object, /) -> str | bytes:  # noqa: N802
        """Return its product name."""

    def nvmlDeviceGetMemoryInfo(self, handle: object, /) -> object:  # noqa: N802
        """Return an object with `free` and `total` bytes."""

    def nvmlDeviceGetCudaComputeCapability(self, handle: object, /) -> tuple[int, int]:  # noqa: N802
        """Return its generation."""


def read_nvidia(environment: Mapping[str, str], library: Library | None = None) -> Found:
    """Return the devices that *environment* leaves, in the order CUDA has them.

    Numbers in `CUDA_VISIBLE_DEVICES` are taken in the order of the bus, as CUDA does under
    `CUDA_DEVICE_ORDER=PCI_BUS_ID`; UUIDs are exact anyway.
    """
    if library is None:
        try:
            import pynvml

            library = pynvml
        except ImportError:
            return Found(note="nvidia-ml-py is not installed")
    try:
        library.nvmlInit()
    except Exception as error:  # noqa: BLE001 - whatever NVML says is the note
        return Found(note=f"NVIDIA: {_words(error)}")
    try:
        return _read(library, environment)
    except Exception as error:  # noqa: BLE001
        return Found(note=f"NVIDIA: {_words(error)}")
    finally:
        _end(library)


def _end(library: Library) -> None:
    try:
        library.nvmlShutdown()
    except Exception as error:  # noqa: BLE001 - it is of no use any more
        del error


def _read(library: Library, environment: Mapping[str, str]) -> Found:
    driver = _text(library.nvmlSystemGetDriverVersion())
    handles = [
        library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())
    ]
    uuids = [_text(library.nvmlDeviceGetUUID(handle)) for handle in handles]
    wanted = environment.get(VISIBLE)
    chosen = handles if wanted is None else _select(library, wanted, handles, uuids)
    devices = tuple(_device(library, handle, driver) for handle in chosen)
    if not handles:
        return Found(note="NVIDIA: no devices")
    hidden = f"{VISIBLE}={wanted!r} leaves none of {len(handles)} devices"
    return Found(devices, "" if devices else hidden)


def _select(library: Library, wanted: str, handles: list[object], uuids: list[str]) -> list[object]:
    """Return the devices that CUDA would show: the first word it does not know ends the list."""
    chosen: list[object] = []
    for word in (part.strip() for part in wanted.split(",")):
        if word.startswith("MIG-"):
            handle = library.nvmlDeviceGetHandleByUUID(word)
        elif word.isdecimal() and int(word) < len(handles):
            handle = handles[int(word)]
        else:
            matches = [i for i, uuid in enumerate(uuids) if word and uuid.startswith(word)]
            if len(matches) != 1:
                break
            handle = handles[matches[0]]
        if handle in chosen:
            return []  # CUDA shows none where one stands there twice
        chosen.append(handle)
    return chosen


def _device(library: Library, handle: object, driver: str) -> Device:
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    return Device(
        backend="cuda",
        id=_text(library.nvmlDeviceGetUUID(handle)),
        name=_text(library.nvmlDeviceGetName(handle)),
        free=int(getattr(memory, "free", 0)),
        total=int(getattr(memory, "total", 0)),
        architecture=_generation(library, handle),
        driver=driver,
    )


def _generation(library: Library, handle: object) -> str:
    try:
        return "{}.{}".format(*library.nvmlDeviceGetCudaComputeCapability(handle))
    except Exception:  # noqa: BLE001 - only shown; parts of devices have none
        return ""


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
