"""What a job may use of its node: memory, under control groups of both versions."""

import psutil
import pytest

from contrastbench.runner import devices

GB = 10**9


def version_1(folder, limit, used, droppable=0, kills=0):
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"cache 1\ntotal_inactive_file {droppable}\n")
    (folder / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
    return folder


def version_2(folder, limit, used, droppable=0, kills=0):
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {droppable}\n")
    (folder / "memory.events").write_text(f"low 0\nmax 3\noom 1\noom_kill {kills}\n")
    return folder


@pytest.mark.parametrize("group", [version_1, version_2])
def test_the_limit_of_a_control_group_counts_and_not_the_nodes_memory(tmp_path, group):
    job = group(tmp_path / "job", limit=GB, used=GB * 3 // 4, droppable=GB // 4, kills=2)
    there = devices.memory([job])
    assert (there.total, there.available) == (GB, GB // 2), "what the kernel can drop is free"
    assert devices.kills_for_memory([job]) == 2


def test_the_narrowest_of_nested_groups_counts(tmp_path):
    job = version_2(tmp_path / "job", limit=GB, used=0)
    task = version_2(tmp_path / "job" / "task", limit="max", used=0)
    assert devices.memory([task, job]).total == GB


def test_without_a_limit_it_is_the_machines_memory(tmp_path):
    free = version_1(tmp_path / "free", limit=2**63 - 4096, used=GB)
    assert devices.memory([free]).total == devices.memory([]).total == psutil.virtual_memory().total
