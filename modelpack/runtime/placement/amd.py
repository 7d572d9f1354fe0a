"""AMD's devices, as the kernel's driver tells of them in `/sys`; nothing of ROCm is needed.

ROCm counts devices in the order of KFD's nodes. The memory of one stands with its card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelpack.runtime.placement.system import Device, Found

_ROOT = Path("/")
_VENDOR = "0x1002"
VISIBLE = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Variables that select devices: the second among those that the first leaves."""


def read_amd(environment: Mapping[str, str], available: int, root: Path = _ROOT) -> Found:
    """Return the devices that *environment* leaves, in the order of HIP.

    A processor's own graphics use the memory of the CPU too, of which *available* bytes are free.
    """
    cards = _cards(root)
    if not cards:
        return Found(note="no AMD card in /sys/class/drm")
    nodes = _nodes(root)
    if not nodes:
        return Found(note="an AMD card, but KFD (/sys/class/kfd) does not know it")
    devices: list[Device] = []
    for number, node in enumerate(nodes):
        card = cards.get(node.get("drm_render_minor", ""))
        if card is not None:
            devices.append(_device(card, node, number, available))
    left = devices
    for variable in VISIBLE:
        wanted = environment.get(variable)
        if wanted is not None:
            left = _select(left, wanted)
    if devices and not left:
        shown = " ".join(f"{name}={environment[name]!r}" for name in VISIBLE if name in environment)
        return Found(note=f"{shown} leaves none of {len(devices)} devices")
    return Found(tuple(left), "" if left else "KFD's nodes match no AMD card")


def _cards(root: Path) -> dict[str, Path]:
    """Return the folders of AMD's cards by the number of their render node."""
    found: dict[str, Path] = {}
    for card in sorted((root / "sys/class/drm").glob("card*")):
        device = card / "device"
        if not card.name[4:].isdecimal() or _text(device / "vendor") != _VENDOR:
            continue
        if not (device / "mem_info_vram_total").exists():
            continue
        for render in sorted((device / "drm").glob("renderD*")):
            found[render.name.removeprefix("renderD")] = device
    return found


def _nodes(root: Path) -> list[dict[str, str]]:
    """Return the properties of KFD's nodes that compute, in order."""
    folder = root / "sys/class/kfd/kfd/topology/nodes"
    paths = [path for path in folder.glob("*") if path.name.isdecimal()]
    nodes: list[dict[str, str]] = []
    for path in sorted(paths, key=lambda path: int(path.name)):
        lines = _text(path / "properties").splitlines()
        node = dict(line.split(" ", 1) for line in lines if " " in line)
        if node.get("simd_count", "0") != "0":  # else it is a processor
            nodes.append(node)
    return nodes


def _device(card: Path, node: Mapping[str, str], number: int, available: int) -> Device:
    total, used = _number(card / "mem_info_vram_total"), _number(card / "mem_info_vram_used")
    free = max(0, total - used)
    integrated = node.get("cpu_cores_count", "0") != "0"
    if integrated:
        shared = _number(card / "mem_info_gtt_total")
        free += max(0, min(shared - _number(card / "mem_info_gtt_used"), available))
        total += shared
    target = _target(node.get("gfx_target_version", ""))
    name = _text(card / "product_name") or f"AMD {target or 'GPU'}"
    return Device(
        backend="rocm",
        id=str(number),
        name=name,
        free=free,
        total=total,
        integrated=integrated,
        architecture=target,
    )


def _select(devices: Sequence[Device], wanted: str) -> list[Device]:
    """Return those that a variable's value shows: the first word it does not know ends the list."""
    chosen: list[Device] = []
    for word in (part.strip() for part in wanted.split(",")):
        if not word.isdecimal() or int(word) >= len(devices):
            break
        if devices[int(word)] not in chosen:
            chosen.append(devices[int(word)])
    return chosen


def _target(version: str) -> str:
    """Return KFD's number, such as 100302, as compilers write it: `gfx1032`."""
    if not version.isdecimal() or int(version) == 0:
        return ""
    number = int(version)
    return f"gfx{number // 10_000}{number // 100 % 100:x}{number % 100:x}"


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
