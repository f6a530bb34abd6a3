"""Slots of the local queue: how many there are, and that scarce memory leaves all but one of them empty."""

import json
from itertools import combinations

import pytest
import torch

from contrastbench.runner.launchers import local


def test_cpu_slots_are_whole_groups_of_cores(monkeypatch):
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda pid: set(range(9)))
    slots = local.slots_here(device="cpu", count=None, threads=4, runs_per_gpu=1)
    assert slots == [local.Slot("cpu", 4)] * 2
    assert len(local.slots_here(device="cpu", count=5, threads=4, runs_per_gpu=1)) == 5


def test_gpu_slots_fill_every_gpu_once_before_any_twice(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    slots = local.slots_here(device="cuda", count=None, threads=1, runs_per_gpu=2)
    assert [slot.device for slot in slots] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert [slot.device for slot in local.slots_here(device="cuda:1", count=None, threads=1, runs_per_gpu=1)] == [
        "cuda:1"
    ]


def test_a_gpu_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch sees no GPU here; possible: cpu"):
        local.slots_here(device="cuda", count=None, threads=1, runs_per_gpu=1)


def test_when_memory_is_short_runs_go_one_at_a_time(bench, monkeypatch):
    monkeypatch.setattr(local, "memory_is_enough", lambda: False)
    settings = {"seconds_per_epoch": "0.1"}
    jobs = bench.jobs("toy/main", [0], settings)
    outcome = local.launch(jobs, [local.Slot()] * 2, watch=lambda job, event: None)
    assert set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 4
    lines = {job.folder: (job.folder / "metrics.jsonl").read_text().splitlines() for job in jobs}
    times = [[json.loads(line)["at"] for line in curve] for curve in lines.values()]
    for one, other in combinations(times, 2):
        assert one[-1] < other[0] or other[-1] < one[0], "two runs at a time"
