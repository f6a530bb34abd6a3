"""Plans the runs that targets, scale, seeds and settings name, and estimates their cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contrastbench import papers
from contrastbench.cli.app import complain, places
from contrastbench.cli.choosing import asked_for, settings_by_name
from contrastbench.data import catalogue
from contrastbench.runner.devices import device_elsewhere
from contrastbench.runner.launchers import local, slurm_queue
from contrastbench.runner.plan import Estimator, Expected, Planned, Price, Slots, plan, plan_runs
from contrastbench.runner.profiles import read_profile
from contrastbench.runner.provenance import device_kind
from contrastbench.runner.rows import rows_shipped
from contrastbench.runner.states import StillQueued, read_ticket, run_of
from contrastbench.runner.vocabulary import Run
from contrastbench.selection import run_folder


def planned_runs(
    targets: list[str] | None,
    scale: str,
    seeds: str | None = None,
    settings: list[str] | None = None,
    still_queued: StillQueued | None = None,
    *,
    every_table: bool = False,
) -> list[Planned]:
    """Plans the targets at a scale, each run once.

    Args:
        targets: papers, tables, cells, or beginnings of keys of runs that are here; all papers if None.
        every_table: a whole paper also stands for its tables that `run` starts only when they are named.

    Raises:
        ValueError: an unknown target, scale, seed, setting or data set, or targets without a cell at that scale.
    """
    asked, changes = asked_for(targets, scale, seeds, settings), settings_by_name(settings)
    for name in (name for key, value in changes.items() if key.endswith("dataset") for name in value.split(",")):
        catalogue.described(name)
    still_queued = still_queued or slurm_queue.still_queued()
    folders = [run_folder(places.runs, key) for key in asked.keys]
    planned = {each.run.key: each for each in _planned_again(folders, still_queued)}
    for selection in asked.selections:
        shipped = frozenset(
            row["key"] for row in rows_shipped(places.results, selection.paper.name) if row["status"] == "done"
        )
        cells = selection.cells(every_table=every_table)
        found = plan(cells, places.runs, shipped, still_queued)
        if selection.cell and not cells:  # a user's own: no paper declares it, but runs here were asked for by it
            found = _planned_again(list(selection.folders(places.runs, complain)), still_queued)
            if not found:
                raise selection.unknown_cell()
        for each in found:
            planned.setdefault(each.run.key, each)
    if targets and not planned:
        raise ValueError(f"{', '.join(targets)} has no cells at scale {scale}; see `contrastbench list`")
    return list(planned.values())


def _planned_again(folders: Sequence[Path], still_queued: StillQueued) -> list[Planned]:
    """Plans the runs that have these folders here, and the runs that they need."""
    cells = {folder.name: tuple((table, cell) for table, cell in read_ticket(folder)["cells"]) for folder in folders}
    return plan_runs(map(run_of, folders), cells, places.runs, still_queued=still_queued)


def costs(planned: Sequence[Planned], device: str) -> dict[str, float | None]:
    """Estimates each run's seconds, by run key; None where nothing tells them."""
    return {key: price.seconds if price else None for key, price in prices(planned, device).items()}


def prices(planned: Sequence[Planned], device: str, *, gpu: str | None = None) -> dict[str, Price | None]:
    """Prices each run by rows of similar runs: run key -> seconds and the device measured; None where nothing tells.

    Rows made here come first. Shipped rows were made on a machine that did other things too. Where there are no such
    rows, the paper may know a price by other means.

    Args:
        device: "cpu", "cuda" or "auto". A stage that its paper runs on the CPU only is priced by rows from CPUs.
        gpu: a part of the name of the GPU to count for. If None, this machine's GPU, else the one measured most.
    """
    names = sorted({each.run.paper for each in planned})
    here = [each.state.row for each in planned if each.state.row]
    shipped = [row for name in names for row in rows_shipped(places.results, name)]
    own, estimator = Estimator(here), Estimator([*here, *shipped])
    kinds = {"cpu": [device_kind("cpu")]}
    if device != "cpu":
        kinds["cuda"] = _gpus(estimator.devices, gpu)  # a machine with a GPU, whose CPU need not be this one's
        kinds["cpu"] += [kind for kind in estimator.devices if kind.startswith("cpu (")]
    there = {each.run.key: kinds[_device_of(each.run, device)] for each in planned}
    return {
        run.key: own.price(run, there[run.key])
        or estimator.price(run, there[run.key])
        or _expected(run, there[run.key])
        for run in (each.run for each in planned)
    }


def _expected(run: Run, kinds: Sequence[str]) -> Price | None:
    """What the paper expects of a run that no row prices, on the first of the kinds of devices that it can tell for.

    A paper says it by ``expected_seconds(run, folder of its results)``, seconds by device.
    """
    expected = papers.paper(run.paper).expected_seconds
    seconds = expected(run, places.results / run.paper) if expected else {}
    return next((Expected(seconds[kind], kind) for kind in kinds if kind in seconds), None)


def _device_of(run: Run, device: str) -> str:
    """Whether a run for which ``device`` was asked is done on the "cpu" or on a GPU ("cuda")."""
    return "cpu" if device_elsewhere(run.paper, run.stage, run.config, device) == "cpu" else "cuda"


def _gpus(measured: Sequence[str], name: str | None) -> list[str]:
    """The GPUs whose rows may price a run, the best first: this machine's, then those measured most.

    Raises:
        ValueError: none is named like ``name``.
    """
    here = [device_kind("cuda")] if has_gpu() else []
    kinds = list(dict.fromkeys([*here, *(kind for kind in measured if not kind.startswith("cpu"))]))
    wanted = [kind for kind in kinds if (name or "").lower() in kind.lower()]
    if name and not wanted:
        raise ValueError(f"nothing was measured on a GPU named like {name!r}; there are: {', '.join(kinds) or 'none'}")
    return wanted


def has_gpu() -> bool:
    import torch  # takes seconds, and planning for a CPU does without

    return torch.cuda.is_available()


def slots_for(device: str, count: int | None, threads: int, runs_per_gpu: int, profile: str | None) -> Slots:
    """The slots over which a plan's runs are spread: those of a cluster profile, or of this machine.

    A login node has no GPU to count. If ``count`` is not given there, one GPU is assumed.
    """
    if profile:
        site = read_profile(profile)
        count = count or site.sbatch.get("array_parallelism", 256) * len(site.devices)
        device, threads, runs_per_gpu = site.run_device, site.threads, site.runs_per_gpu
    if device != "cpu" and not device.startswith("cuda"):
        raise ValueError(f"device must be cpu, cuda or cuda:0, got {device!r}")
    if device == "cpu":
        return Slots(count or len(local.slots_here(device, None, threads, 1)), "CPU", threads)
    there = local.slots_here(device, None, threads, runs_per_gpu) if not count and has_gpu() else ()
    return Slots(count or len(there) or runs_per_gpu, "GPU", 1 / runs_per_gpu)
