"""Look at everything that running models depends on, and say what could be better."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from modelpack import __version__
from modelpack.engine.cores import count_cores
from modelpack.errors import ModelPackError
from modelpack.limits import GiB
from modelpack.ops.care import usage
from modelpack.ops.context import Context
from modelpack.runtime.placement.advice import (
    Advice,
    about_devices,
    about_library,
    about_processor,
)
from modelpack.runtime.placement.cpu import Processor, read_processor, read_quota
from modelpack.runtime.placement.devices import read_system
from modelpack.runtime.placement.library import Library, probe_library
from modelpack.runtime.placement.system import System

_LITTLE = 5 * GiB
_EXTRAS = {
    "gotpl": ("runtime", "prompt templates of Modelfiles"),
    "jinja2": ("runtime", "prompt templates of GGUF files"),
    "numpy": ("runtime", "choosing tokens"),
    "pillow": ("runtime", "images in the format WebP"),
    "nvidia-ml-py": ("runtime", "free memory of NVIDIA's GPUs"),
    "llguidance": ("runtime", "answers in a given form"),
    "starlette": ("registry", "the embedded registry"),
    "uvicorn": ("registry", "the embedded registry"),
    "httptools": ("registry", "the embedded registry, faster"),
    "bcrypt": ("registry", "passwords of the embedded registry"),
}
"""Optional packages: the extra that installs each, and what it is for."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the report."""

    name: str
    value: object
    """A number of bytes where the name ends in `bytes`, else text, a number, or a list."""


@dataclass(slots=True)
class Section:
    """What belongs together, and what to do about it."""

    title: str
    facts: list[Fact] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)

    def add(self, name: str, value: object) -> None:
        """Add one line."""
        self.facts.append(Fact(name, value))


def examine(
    context: Context,
    *,
    system: System | None = None,
    root: Path = Path("/"),
) -> list[Section]:
    """Return the state of this machine and of the store of *context*. Changes nothing.

    *system* and *root* (where `/proc` and `/sys` lie) are for tests.
    """
    library = probe_library()
    environment = context.settings.environment
    machine = system or read_system(
        can_offload=library.can_offload, environment=environment, root=root
    )
    processor = read_processor(root)
    return [
        _versions(library),
        _processor(processor, library, root),
        _memory(machine),
        _devices(machine, library, root),
        _store(context),
        _extras(),
    ]


def is_broken(sections: list[Section]) -> bool:
    """Tell whether anything does not work at all."""
    return any(advice.kind == "broken" for section in sections for advice in section.advice)


def _versions(library: Library) -> Section:
    section = Section("Versions", advice=about_library(library))
    section.add("modelpack", __version__)
    section.add("python", platform.python_version())
    section.add("system", platform.platform(terse=True))
    section.add("llama-cpp-python", library.version or "not installed")
    if library.system_info:
        section.add("llama.cpp", library.llama_version)
        section.add("library", library.path)
        section.add("computes with", ", ".join(library.backends))
        section.add("uses GPUs", "yes" if library.can_offload else "no")
        section.add("features", " ".join(sorted(library.features)))
    return section


def _processor(processor: Processor, library: Library, root: Path) -> Section:
    unused = processor.unused(library.features) if library.system_info else ()
    section = Section("Processor", advice=about_processor(unused, library))
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = count_cores()
    section.add("name", processor.name or platform.processor() or platform.machine())
    section.add("processors", os.cpu_count() or 1)
    section.add("usable here", usable or 1)
    if quota := read_quota(root):
        section.add("control group", f"as much as {quota:g} processors")
    section.add("threads", cores)
    if unused:
        section.add("unused features", " ".join(unused))
    return section


def _memory(machine: System) -> Section:
    section = Section("Memory")
    section.add("total bytes", machine.memory.total)
    section.add("available bytes", machine.memory.available)
    if machine.memory.limit:
        section.add("control group bytes", machine.memory.limit)
    return section


def _devices(machine: System, library: Library, root: Path) -> Section:
    cards = _cards(root)
    section = Section("GPUs")
    section.advice += about_devices(machine.devices, library, cards, machine.notes)
    for index, device in enumerate(machine.devices):
        words = (device.name, device.architecture, device.backend.upper(), device.driver)
        section.add(f"{index}", ", ".join(word for word in words if word))
        section.add(f"{index} free bytes", device.free)
        section.add(f"{index} total bytes", device.total)
    if not machine.devices:
        section.add("found", "none")
        section.add("because", list(machine.notes))
    return section


def _cards(root: Path) -> set[str]:
    """Return the PCI vendors of the machine's graphics cards."""
    found: set[str] = set()
    for device in (root / "sys/bus/pci/devices").glob("*"):
        try:
            if (device / "class").read_text().startswith("0x03"):
                found.add((device / "vendor").read_text().strip())
        except OSError:
            continue
    return found


def _store(context: Context) -> Section:
    folder = context.settings.models
    section = Section("Store")
    section.add("path", str(folder))
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))
    section.add("file system", _file_system(existing))
    free = shutil.disk_usage(existing).free
    section.add("free bytes", free)
    if free < _LITTLE:
        do = "`modelpack prune` frees what no model needs; `modelpack rm` removes models"
        section.advice.append(Advice("note", "there is little room for models", do))
    if problem := _write_problem(existing):
        do = "see to the rights, or set MODELPACK_MODELS to another folder"
        section.advice.append(Advice("broken", f"nothing can be written there: {problem}", do))
    try:
        measured, unreadable = usage(context)
    except (ModelPackError, OSError) as error:
        section.advice.append(Advice("broken", f"it cannot be read: {error}", ""))
        return section
    section.add("models", len(measured.models))
    section.add("in use bytes", measured.total)
    section.add("unfinished bytes", measured.leftovers)
    if unreadable:
        count = len(unreadable)
        what = f"{count} model{'' if count == 1 else 's'} cannot be read"
        section.advice.append(Advice("broken", what, "`modelpack fsck` says which"))
    if measured.leftovers:
        do = "pull or build again to go on; `modelpack prune` removes what is a week old"
        section.advice.append(Advice("note", "downloads or builds broke off", do))
    return section


def _write_problem(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"modelpack")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _file_system(folder: Path) -> str:
    """Return the kind of file system that *folder* lies on, such as `ext4`."""
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return "unknown"
    best, kind = "", "unknown"
    for words in (line.split() for line in mounts):
        place = words[1].replace("\\040", " ") if len(words) > 2 else ""
        if place and len(place) >= len(best) and folder.resolve().is_relative_to(place):
            best, kind = place, words[2]
    return kind


def _extras() -> Section:
    section = Section("Optional packages")
    for name, (extra, purpose) in _EXTRAS.items():
        try:
            section.add(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            section.add(name, "not installed")
            do = f"pip install 'modelpack-oci[{extra}]'"
            section.advice.append(Advice("missing", f"{name}: {purpose}", do))
    return section
