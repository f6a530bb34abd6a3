"""What commands take to name runs - targets, scale, seeds, settings - and the plan they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import places, selections
from contrastbench.runner import cost
from contrastbench.runner.execute import Host
from contrastbench.runner.launchers import local, slurm_queue
from contrastbench.runner.plan import Planned, plan
from contrastbench.runner.probe import probed_costs
from contrastbench.runner.profiles import read_profile
from contrastbench.runner.provenance import device_kind
from contrastbench.runner.rows import rows_shipped

Targets = Annotated[list[str] | None, typer.Argument(help="PAPER\\[/TABLE\\[/CELL]]; all papers where none is given")]
Scale = Annotated[str, typer.Option(help="smoke, quick, lite or paper")]
Seeds = Annotated[str | None, typer.Option(help="a number of seeds (5), or the seeds (0-4 or 0,3,7)")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="a config field to change: key=value; repeatable")]


def planned_runs(
    targets: list[str] | None, scale: str, seeds: str | None = None, settings: list[str] | None = None
) -> list[Planned]:
    """The plan of the targets at a scale; each run once.

    Raises:
        ValueError: an unknown target, scale, seed or setting, or targets without a cell at that scale.
    """
    planned: dict[str, Planned] = {}
    still_queued = slurm_queue.still_queued()
    for selection in selections(targets):
        shipped = frozenset(
            row["key"] for row in rows_shipped(places.results, selection.paper.name) if row["status"] == "done"
        )
        cells = papers.with_settings(selection.cells(scale, seed_numbers(seeds)), settings_by_name(settings))
        for each in plan(cells, places.runs, shipped, still_queued):
            planned.setdefault(each.run.key, each)
    if targets and not planned:
        raise ValueError(f"{', '.join(targets)} has no cells at scale {scale}; see `contrastbench list`")
    return list(planned.values())


def costs(planned: Sequence[Planned], device: str, *, probe: bool = False) -> dict[str, float | None]:
    """Estimated seconds per run key, from what the plan found measured here and what the suite shipped.

    With ``probe``, runs that are to do and that nothing like was measured for are begun, to see how fast they go.
    """
    names = sorted({each.run.paper for each in planned})
    here = [each.state.row for each in planned if each.state.row]
    shipped = [row for name in names for row in rows_shipped(places.results, name)]
    estimator = cost.Estimator([*here, *shipped], _like(device))
    seconds = {each.run.key: estimator.seconds(each.run) for each in planned}
    if probe and device != "cpu" and not has_gpu():
        raise ValueError(f"nothing can be probed on {device!r}: torch sees no GPU here; probe where one is")
    unknown = [each.run for each in planned if each.is_to_run and seconds[each.run.key] is None]
    return {**seconds, **(probed_costs(unknown, Host(device)) if probe else {})}


def _like(device: str) -> Callable[[str], bool]:
    """Whether rows of a kind of device tell the cost on ``device``: on the same kind; on any GPU where none is here."""
    if device != "cpu" and not has_gpu():
        return lambda kind: not kind.startswith("cpu")
    same = device_kind(device)
    return lambda kind: kind == same


def has_gpu() -> bool:
    import torch  # takes seconds, and planning for a CPU does without

    return torch.cuda.is_available()


def slots_for(device: str, count: int | None, threads: int, runs_per_gpu: int, profile: str | None) -> cost.Slots:
    """What a plan's wall time and device hours are counted for: a cluster profile, or a machine's slots.

    Where the slots are not given and cannot be counted here, as GPUs on a login node, one device is assumed.
    """
    if profile:
        site = read_profile(profile)
        count = count or site.array_parallelism * site.runs_at_once
        device, threads, runs_per_gpu = site.run_device, site.threads, site.runs_per_gpu
    if device != "cpu" and not device.startswith("cuda"):
        raise ValueError(f"device must be cpu, cuda or cuda:0, got {device!r}")
    if device == "cpu":
        return cost.Slots(count or len(local.slots_here(device, None, threads, 1)), "CPU", threads)
    there = local.slots_here(device, None, threads, runs_per_gpu) if not count and has_gpu() else ()
    return cost.Slots(count or len(there) or runs_per_gpu, "GPU", 1 / runs_per_gpu)


def seed_numbers(text: str | None) -> list[int] | None:
    """``5`` is 0..4; ``0-4`` and ``0,3,7`` are those seeds."""
    if text is None:
        return None
    try:
        if text.isdigit() and int(text) > 0:
            return list(range(int(text)))
        first, dash, last = text.partition("-")
        seeds = list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]
        if seeds and min(seeds) >= 0 and ("," in text or dash):
            return seeds
    except ValueError:
        pass
    raise ValueError(f"seeds must be a number of seeds (5), a range (0-4) or a list (0,3,7), got {text!r}")


def settings_by_name(pairs: list[str] | None) -> dict[str, str]:
    """``key=value`` pairs by key.

    Raises:
        ValueError: a pair without a key, an equals sign or a value.
    """
    split = [pair.partition("=") for pair in pairs or []]
    for key, equals, value in split:
        if not (key and equals and value):
            raise ValueError(f"--set takes key=value, got {key + equals + value!r}")
    return {key: value for key, _, value in split}
