"""What the installed llama.cpp is and can do, asked in a process of its own.

Loading the library can end a process (a build for another processor stops with an illegal
instruction), and it costs a third of a second and some memory; neither shall happen to the caller.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata, util

_PROGRAM = """
import json, os, sys
out = os.dup(1)
os.dup2(2, 1)
import llama_cpp
said = {
    "version": llama_cpp.__version__,
    "llama_version": llama_cpp.llama_version().decode("utf-8", "replace"),
    "path": str(llama_cpp.llama_cpp._lib._name),
    "system_info": llama_cpp.llama_print_system_info().decode("utf-8", "replace"),
    "can_offload": bool(llama_cpp.llama_supports_gpu_offload()),
}
os.write(out, json.dumps(said).encode())
"""
_LONGEST_S = 60.0
_GPU = ("CUDA", "ROCm", "HIP", "Vulkan", "Metal", "SYCL", "MUSA", "OpenCL", "CANN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """llama.cpp as it is installed; texts are empty where unknown."""

    installed: bool
    version: str = ""
    """Of llama-cpp-python."""
    llama_version: str = ""
    path: str = ""
    system_info: str = ""
    can_offload: bool = False
    error: str = ""
    """Why it cannot be loaded."""

    @property
    def features(self) -> frozenset[str]:
        """Features that the build uses, in llama.cpp's words, such as `AVX2`."""
        pairs = (part.split(":")[-1].split("=") for part in self.system_info.split("|"))
        return frozenset(
            pair[0].strip() for pair in pairs if len(pair) == 2 and pair[1].strip() == "1"
        )

    @property
    def backends(self) -> tuple[str, ...]:
        """What it computes with, such as `CPU` and `CUDA`."""
        names = (part.split(":")[0].strip() for part in self.system_info.split("|") if ":" in part)
        return tuple(name for name in names if name == "CPU" or name.startswith(_GPU))


def probe_library(python: str = sys.executable, *, timeout_s: float = _LONGEST_S) -> Library:
    """Load llama.cpp in another process and return what it says. Never raises."""
    if util.find_spec("llama_cpp") is None:
        return Library(installed=False)
    version = _version()
    try:
        done = subprocess.run(
            [python, "-c", _PROGRAM], capture_output=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        error = f"loading it takes more than {timeout_s:.0f} s"
        return Library(installed=True, version=version, error=error)
    except OSError as failure:
        return Library(installed=True, version=version, error=str(failure))
    if done.returncode:
        error = _cause(done.returncode, done.stderr.decode("utf-8", "replace"))
        return Library(installed=True, version=version, error=error)
    try:
        said = json.loads(done.stdout)
        return Library(installed=True, **said)
    except (ValueError, TypeError):
        return Library(installed=True, version=version, error="it says nothing we understand")


def _version() -> str:
    try:
        return metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        return ""


def _cause(code: int, complaint: str) -> str:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    if code >= 0:
        return lines[-1] if lines else f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"loading it ends the process ({name})"
