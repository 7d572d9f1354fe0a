from __future__ import annotations

import os

import pytest

from modelpack.engine.cores import count_cores


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Four processors on two cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    return tmp_path


def test_two_threads_of_a_core_count_once(system):
    assert count_cores(system) == 2


def test_processors_of_unknown_cores_count_each(system, tmp_path):
    assert count_cores(tmp_path / "elsewhere") == 4


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("max 100000", 2)])
def test_a_control_group_leaves_fewer(system, quota, cores):
    (system / "fs/cgroup").mkdir(parents=True)
    (system / "fs/cgroup/cpu.max").write_text(quota)
    assert count_cores(system) == cores
