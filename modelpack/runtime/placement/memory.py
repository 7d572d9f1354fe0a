"""Memory of the CPU: what Linux says is available, within what a control group allows."""

from __future__ import annotations

import os
from pathlib import Path

from modelpack.runtime.placement.system import Memory

_ROOT = Path("/")


def read_memory(root: Path = _ROOT) -> Memory:
    """Return the memory of the machine whose `/proc` and `/sys` lie in *root*."""
    total, available = _meminfo(root)
    limit, left = _group(root)
    if limit:
        total, available = min(total, limit), min(available, left)
    return Memory(total=total, available=max(0, available), limit=limit)


def _meminfo(root: Path) -> tuple[int, int]:
    kibibytes: dict[str, int] = {}
    for line in _text(root / "proc/meminfo").splitlines():
        key, _, rest = line.partition(":")
        number = rest.strip().removesuffix("kB").strip()
        if number.isdecimal():
            kibibytes[key] = int(number)
    if "MemTotal" not in kibibytes:
        return _from_sysconf()
    total = kibibytes["MemTotal"]
    return total * 1024, kibibytes.get("MemAvailable", total) * 1024


def _from_sysconf() -> tuple[int, int]:
    """Return all memory for what is available, where a system does not tell more."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        size = 0
    return size, size


def _group(root: Path) -> tuple[int, int]:
    """Return the tightest limit of our control group and those above it, and what it leaves.

    File pages of the group can be dropped, so they count as available.
    """
    mount = root / "sys/fs/cgroup"
    path = next(
        (line[3:] for line in _text(root / "proc/self/cgroup").splitlines() if line[:3] == "0::"),
        "/",
    )
    folder = mount / path.strip().strip("/")
    limit = left = 0
    for group in (folder, *folder.parents):
        allowed = _text(group / "memory.max").strip()
        if allowed.isdecimal():
            used = _text(group / "memory.current").strip()
            files = _file_pages(_text(group / "memory.stat"))
            rest = int(allowed) - (int(used) if used.isdecimal() else 0) + files
            rest = min(rest, int(allowed))
            limit, left = (int(allowed), rest) if not limit else (
                min(limit, int(allowed)), min(left, rest)
            )  # fmt: skip
        if group == mount:
            break
    return limit, left


def _file_pages(stat: str) -> int:
    rows = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    return sum(
        int(rows[key]) for key in ("inactive_file", "active_file") if rows.get(key, "").isdecimal()
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
