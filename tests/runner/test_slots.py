"""Slots of the local queue: how many there are, and that scarce memory, also of a control group, leaves some empty."""

import json
from itertools import combinations

import psutil
import pytest

from contrastbench.runner import devices
from contrastbench.runner.launchers import local


@pytest.mark.parametrize(
    ("device", "count", "threads", "runs_per_gpu", "places"),
    [
        ("cpu", None, 4, 1, ["cpu"] * 2),
        ("cpu", 5, 4, 1, ["cpu"] * 5),
        ("cuda", None, 1, 2, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("cuda:1", None, 1, 1, ["cuda:1"]),
    ],
)
def test_slots_are_whole_groups_of_cores_and_fill_every_gpu_once_before_any_twice(
    bench, monkeypatch, device, count, threads, runs_per_gpu, places
):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: set(range(9)))
    for module in (devices, local):
        monkeypatch.setattr(module, "gpu_count", lambda: 2)
    jobs, slots = local.place_jobs(bench.jobs("toy/main"), device, count, threads, runs_per_gpu)
    assert slots == [devices.Host(place, threads, "local") for place in places]
    assert {job.device for job in jobs} == {device.partition(":")[0]}


def test_when_memory_is_short_runs_go_one_at_a_time(bench, monkeypatch):
    monkeypatch.setattr(local, "memory_is_enough", lambda: False)
    settings = {"seconds_per_epoch": "0.1"}
    jobs = bench.jobs("toy/main", [0], settings)
    outcome = local.launch(jobs, [devices.Host(launcher="local")] * 2, watch=lambda job, event: None)
    assert set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 4
    lines = {job.folder: (job.folder / "metrics.jsonl").read_text().splitlines() for job in jobs}
    times = [[json.loads(line)["at"] for line in curve] for curve in lines.values()]
    for one, other in combinations(times, 2):
        assert one[-1] < other[0] or other[-1] < one[0], "two runs at a time"


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
def test_the_limit_of_a_control_group_counts_and_not_the_nodes_memory(tmp_path, monkeypatch, group):
    job = group(tmp_path / "job", limit=GB, used=GB * 3 // 4, droppable=GB // 4, kills=2)
    monkeypatch.setattr(devices, "_own_groups", lambda: [job])
    there = devices.memory()
    assert (there.total, there.available) == (GB, GB // 2), "what the kernel can drop is free"
    assert devices.kills_for_memory() == 2


def test_the_narrowest_of_nested_groups_counts(tmp_path, monkeypatch):
    job = version_2(tmp_path / "job", limit=GB, used=0)
    task = version_2(tmp_path / "job" / "task", limit="max", used=0)
    monkeypatch.setattr(devices, "_own_groups", lambda: [task, job])
    assert devices.memory().total == GB


def test_without_a_limit_it_is_the_machines_memory(tmp_path, monkeypatch):
    free = version_1(tmp_path / "free", limit=2**63 - 4096, used=GB)
    for groups in ([free], []):
        monkeypatch.setattr(devices, "_own_groups", lambda groups=groups: groups)
        assert devices.memory().total == psutil.virtual_memory().total
