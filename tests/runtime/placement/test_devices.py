from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from modelpack.runtime.placement.amd import read_amd
from modelpack.runtime.placement.devices import read_system
from modelpack.runtime.placement.memory import read_memory
from modelpack.runtime.placement.nvidia import read_nvidia

GIB = 2**30
UUIDS = ("GPU-aaaa-1", "GPU-bbbb-2")
MIG = "MIG-cccc-3"


class Nvml:
    """Two cards, one of them cut into parts; `fails` names a call that raises."""

    def __init__(self, fails="", count=2):
        self.fails, self.count, self.open = fails, count, 0

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "fails"):
            raise RuntimeError("Driver/library  version mismatch")
        return object.__getattribute__(self, name)

    def nvmlInit(self):  # noqa: N802
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return b"550.54"

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return UUIDS[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        return uuid

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return handle.encode()

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return f"Card {handle[-1]}"

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(free=int(handle[-1]) * GIB, total=24 * GIB)

    def nvmlDeviceGetCudaComputeCapability(self, handle):  # noqa: N802
        if handle == MIG:
            raise RuntimeError("Not Supported")
        return 8, 9


def ids(environment, library=None):
    return [device.id for device in read_nvidia(environment, library or Nvml()).devices]


def test_nvidia_cards_tell_their_memory():
    library = Nvml()
    first, second = read_nvidia({}, library).devices
    assert (first.id, first.name, first.free, first.total) == (UUIDS[0], "Card 1", GIB, 24 * GIB)
    assert (second.architecture, second.driver, second.backend) == ("8.9", "550.54", "cuda")
    assert library.open == 0


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("1", [UUIDS[1]]),
        ("1,0", [UUIDS[1], UUIDS[0]]),
        ("0,7,1", [UUIDS[0]]),
        ("-1", []),
        ("", []),
        ("GPU-bb", [UUIDS[1]]),
        ("GPU-", []),
        ("0,0", []),
        (MIG, [MIG]),
    ],
)
def test_cuda_visible_devices_is_honoured(value, left):
    found = read_nvidia({"CUDA_VISIBLE_DEVICES": value}, Nvml())
    assert [device.id for device in found.devices] == left
    assert bool(found.note) == (not left)


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_fails_is_a_note(call):
    found = read_nvidia({}, Nvml(fails=call))
    assert (found.devices, found.note) == ((), "NVIDIA: Driver/library version mismatch")
    assert read_nvidia({}, Nvml(fails="nvmlShutdown")).devices


def test_no_nvml_and_no_cards_are_notes(monkeypatch):
    assert read_nvidia({}, Nvml(count=0)).note == "NVIDIA: no devices"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_nvidia({}).note == "nvidia-ml-py is not installed"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def card(root, number, render, vram, used, gtt=(0, 0), vendor="0x1002", name=""):
    device = root / f"sys/class/drm/card{number}/device"
    write(device / "vendor", vendor)
    write(device / "mem_info_vram_total", vram)
    write(device / "mem_info_vram_used", used)
    write(device / "mem_info_gtt_total", gtt[0])
    write(device / "mem_info_gtt_used", gtt[1])
    (device / "drm" / f"renderD{render}").mkdir(parents=True)
    if name:
        write(device / "product_name", name)


def node(root, number, render, target, cores=0, simds=80):
    write(
        root / f"sys/class/kfd/kfd/topology/nodes/{number}/properties",
        f"cpu_cores_count {cores}\nsimd_count {simds}\n"
        f"gfx_target_version {target}\ndrm_render_minor {render}",
    )


@pytest.fixture
def tree(tmp_path):
    """A processor, a card, and a second card that stands first in KFD."""
    node(tmp_path, 0, 0, 0, cores=16, simds=0)
    node(tmp_path, 1, 129, 110000)
    node(tmp_path, 2, 128, 100302)
    card(tmp_path, 0, 128, 8 * GIB, GIB, name="Radeon RX 6600")
    card(tmp_path, 1, 129, 24 * GIB, 4 * GIB)
    (tmp_path / "sys/class/drm/card0-DP-1").mkdir()
    return tmp_path


def test_amd_cards_come_in_the_order_of_kfd(tree):
    first, second = read_amd({}, 0, tree).devices
    assert (first.id, first.architecture, first.free) == ("0", "gfx1100", 20 * GIB)
    assert (second.id, second.architecture, second.name) == ("1", "gfx1032", "Radeon RX 6600")
    assert (second.free, second.total, second.integrated) == (7 * GIB, 8 * GIB, False)


@pytest.mark.parametrize(
    ("environment", "left"),
    [
        ({"ROCR_VISIBLE_DEVICES": "1"}, ["1"]),
        ({"HIP_VISIBLE_DEVICES": "1,0"}, ["1", "0"]),
        ({"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}, ["1"]),
        ({"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "1"}, []),
        ({"ROCR_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_the_variables_of_rocm_are_honoured(tree, environment, left):
    found = read_amd(environment, 0, tree)
    assert [device.id for device in found.devices] == left
    assert bool(found.note) == (not left)


def test_graphics_within_the_processor_use_its_memory(tmp_path):
    node(tmp_path, 0, 128, 90012, cores=8)
    card(tmp_path, 0, 128, GIB, GIB // 2, gtt=(16 * GIB, GIB))
    (device,) = read_amd({}, 4 * GIB, tmp_path).devices
    assert (device.integrated, device.architecture) == (True, "gfx90c")
    assert device.free == GIB // 2 + 4 * GIB


def test_cards_without_kfd_or_of_others_are_notes(tmp_path):
    card(tmp_path, 0, 128, GIB, 0, vendor="0x10de")
    assert read_amd({}, 0, tmp_path).note == "no AMD card in /sys/class/drm"
    card(tmp_path, 1, 129, GIB, 0)
    assert "KFD" in read_amd({}, 0, tmp_path).note
    node(tmp_path, 1, 200, 110000)
    assert "match no AMD card" in read_amd({}, 0, tmp_path).note


def meminfo(root, total, available):
    write(root / "proc/meminfo", f"MemTotal: {total} kB\nMemAvailable:  {available} kB\nx y")


def test_memory_is_what_linux_says(tmp_path):
    meminfo(tmp_path, 1000, 600)
    memory = read_memory(tmp_path)
    assert (memory.total, memory.available, memory.limit) == (1000 * 1024, 600 * 1024, 0)


def test_a_control_group_limits_memory_and_its_file_pages_count_as_free(tmp_path):
    meminfo(tmp_path, 10**6, 10**6)
    write(tmp_path / "proc/self/cgroup", "9:memory:/old\n0::/a/b")
    group = tmp_path / "sys/fs/cgroup/a"
    write(group / "b/memory.max", "max")
    write(group / "memory.max", 1_000_000)
    write(group / "memory.current", 700_000)
    write(group / "memory.stat", "anon 1\nactive_file 100000\ninactive_file 50000")
    memory = read_memory(tmp_path)
    assert (memory.total, memory.available, memory.limit) == (1_000_000, 450_000, 1_000_000)


def test_a_machine_without_proc_still_has_memory(tmp_path):
    assert read_memory(tmp_path).total > 0


def test_a_system_has_devices_of_both_kinds_and_notes(tree):
    meminfo(tree, 10**6, 10**6)
    system = read_system(environment={}, root=tree, nvml=Nvml())
    assert [device.backend for device in system.devices] == ["cuda", "cuda", "rocm", "rocm"]
    failing = read_system(environment={}, root=tree, nvml=Nvml(fails="nvmlInit"))
    assert failing.notes == ("NVIDIA: Driver/library version mismatch",)
