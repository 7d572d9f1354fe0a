"""What the processor can do, and what of it a build of llama.cpp leaves unused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_FEATURES = {
    "avx": "AVX", "avx2": "AVX2", "f16c": "F16C", "fma": "FMA", "bmi2": "BMI2",
    "avx_vnni": "AVX_VNNI", "avx512f": "AVX512", "avx512vbmi": "AVX512_VBMI",
    "avx512_vnni": "AVX512_VNNI", "avx512_bf16": "AVX512_BF16", "amx_int8": "AMX_INT8",
    "asimd": "NEON", "asimddp": "DOTPROD", "i8mm": "MATMUL_INT8", "sve": "SVE",
}  # fmt: skip
"""Flags of `/proc/cpuinfo` and llama.cpp's words for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """The processor, as the kernel describes it."""

    name: str
    features: tuple[str, ...]
    """What llama.cpp could use of it, in llama.cpp's words."""

    def unused(self, built: Collection[str]) -> tuple[str, ...]:
        """Return the features that a build with the features *built* leaves unused."""
        return tuple(feature for feature in self.features if feature not in built)


def read_processor(root: Path = _ROOT) -> Processor:
    """Return the processor of the machine whose `/proc` lies in *root*."""
    try:
        text = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return Processor(name="", features=())
    rows: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        rows.setdefault(key.strip(), value.strip())
    flags = set((rows.get("flags") or rows.get("Features") or "").split())
    return Processor(
        name=rows.get("model name", ""),
        features=tuple(word for flag, word in _FEATURES.items() if flag in flags),
    )


def read_quota(root: Path = _ROOT) -> float:
    """Return how many processors' time a control group (version 2) allows; 0 for no limit."""
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0
