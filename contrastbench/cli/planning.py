"""Plans the runs that were asked for: what each would cost, whether its data is here, and whether it can begin."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from contrastbench import papers
from contrastbench.cli.app import Folders, complain
from contrastbench.data import catalogue
from contrastbench.runner.checkpoint import Checkpoint, Interrupted
from contrastbench.runner.code import list_some
from contrastbench.runner.devices import cores, device_of, gpu_count
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.log import Log
from contrastbench.runner.plan import Estimator, Expected, Planned, Price, Slots, plan, plan_runs
from contrastbench.runner.profiles import read_profile
from contrastbench.runner.provenance import device_kind
from contrastbench.runner.rows import Row, rows_shipped
from contrastbench.runner.states import StillQueued, folder_of, read_ticket, run_of, state_of
from contrastbench.runner.studies import CPU_ONLY
from contrastbench.runner.vocabulary import Cell, Run, config_values
from contrastbench.selection import Targets, run_folder
from contrastbench.settings import allowed_values

Prices = Mapping[str, Price | None]  # by run key; None where nothing tells the price


def planned_runs(
    asked: Targets, folders: Folders, still_queued: StillQueued | None = None, *, every_table: bool = False
) -> list[Planned]:
    """Plans what was asked for, each run once.

    Args:
        every_table: a whole paper also stands for its tables that `run` starts only when they are named.

    Raises:
        ValueError: a key that no run here has, an unknown cell or data set, or targets without a cell at their scale.
    """
    for name in (name for key, text in asked.settings.items() if key.endswith("dataset") for name in text.split(",")):
        catalogue.describe(name)
    still_queued = still_queued or slurm_queue.still_queued()

    def again(known: Sequence[Path]) -> list[Planned]:
        """Plans the runs that have these folders here, and the runs that they need."""
        cells = {each.name: tuple((table, cell) for table, cell in read_ticket(each)["cells"]) for each in known}
        return plan_runs(map(run_of, known), cells, folders.runs, still_queued=still_queued)

    planned = again([run_folder(folders.runs, key) for key in asked.keys])
    for selection in asked.selections:
        shipped = rows_shipped(folders.results, selection.paper.name)
        cells = selection.cells(every_table=every_table)
        if cells or not selection.cell:
            keys = frozenset(row["key"] for row in shipped if row["status"] == "done")
            planned += plan(cells, folders.runs, keys, still_queued)
        elif own := list(selection.folders(folders.runs, complain)):  # no paper declares them, but they were run here
            planned += again(own)
        else:
            raise selection.unknown_cell()
    if asked.typed and not planned:
        scale = asked.selections[0].scale
        raise ValueError(f"{', '.join(asked.typed)} has no cells at scale {scale}; see `contrastbench list`")
    once: dict[str, Planned] = {}
    for each in planned:
        once.setdefault(each.run.key, each)
    return list(once.values())


# ------------------------------------------------------------------------------------------------- what the runs cost


def slots_for(device: str, profile: str | None) -> Slots:
    """The slots over which a plan's runs are spread: those of a cluster profile, or of this machine.

    A login node has no GPU to count: one is assumed there.
    """
    if profile:
        site = read_profile(profile)
        count = site.sbatch["array_parallelism"] * len(site.devices)
        of_gpus = site.run_device != "cpu"
        return Slots(count, "GPU", 1 / site.runs_per_gpu) if of_gpus else Slots(count, "CPU", site.threads)
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    return Slots(cores(), "CPU", 1) if device == "cpu" else Slots(max(1, gpu_count()), "GPU", 1)


def prices(planned: Sequence[Planned], device: str, results: Path) -> Prices:
    """Prices each run by rows of similar runs: seconds and the device measured.

    Rows of the runs most alike count, and of these the ones made here: shipped rows were made on a machine that did
    other things too. Where there are no such rows, the paper may know a price by other means.

    Args:
        device: "cpu": this machine's, else the CPU measured most; "cuda": this machine's GPU, else the one measured
            most. A stage that its paper runs on the CPU only is priced by rows from CPUs. "auto": a GPU if this machine
            has one and the stage prefers it.
    """
    device = "cpu" if device == "auto" and not gpu_count() else device
    names = sorted({each.run.paper for each in planned})
    here = [each.state.row for each in planned if each.state.row]
    shipped = [row for name in names for row in rows_shipped(results, name)]
    estimator = Estimator(here, shipped)
    on_cpus = [kind for kind in estimator.devices if kind.startswith("cpu (")]
    kinds = {"cpu": [device_kind("cpu"), *on_cpus]}
    if device != "cpu":
        this_gpu = [device_kind("cuda")] if gpu_count() else []
        kinds["cuda"] = this_gpu + [kind for kind in estimator.devices if kind not in on_cpus]

    def price(run: Run) -> Price | None:
        on_cpu = device_of(run.paper, run.stage, run.config, device, gpus=1) == "cpu"
        there = kinds["cpu" if on_cpu else "cuda"]
        if known := estimator.price(run, there):
            return known
        # What the paper expects of the run, seconds by device, on the first that it can tell for.
        expected = papers.paper(run.paper).expected_seconds
        seconds = expected(run, results / run.paper) if expected else {}
        return next((Expected(seconds[kind], kind) for kind in there if kind in seconds), None)

    return {each.run.key: price(each.run) for each in planned}


# ------------------------------------------------------------------------------------------------ what the runs need


def _named_in_configs(runs: Iterable[Run]) -> list[str]:
    """The texts in the runs' configs that may name a data set: a field with a fixed set of words never does."""
    return sorted(
        {
            text
            for config in {run.config for run in runs}
            for name, text in config_values(config).items()
            if isinstance(text, str) and not isinstance(allowed_values(config, name), tuple)
        }
    )


def check_data(runs: Iterable[Run]) -> None:
    """Loads the data sets that the runs' configs name from what is here.

    Raises:
        ValueError: one is missing or damaged; the message says how to get it.
    """
    known = {*catalogue.DATA_SETS, *(own.name for own in catalogue.find_own())}
    for name in _named_in_configs(runs):
        if name.partition("@")[0] in known:
            catalogue.load(name, download=False)


def data_missing(runs: Iterable[Run]) -> list[str]:
    """The data sets that the runs' configs name and that must be there first."""
    declared = [catalogue.DATA_SETS[name] for name in _named_in_configs(runs) if name in catalogue.DATA_SETS]
    return [each.name for each in declared if not each.embedded and not catalogue.is_here(each)]


def check_own_data(runs: Iterable[Run]) -> None:
    """Begins runs on data sets of the user's own, without values and on no device, up to where training would start.

    Raises:
        ValueError: some cannot begin, as where a batch is larger than the data set. Nothing was started.
    """
    own = {each.name for each in catalogue.find_own()}
    kinds = {
        (run.paper, run.stage, run.config): run
        for run in runs
        if own & {text.partition("@")[0] for text in _named_in_configs([run])}
    }
    refused: dict[str, list[str]] = {}
    for run in kinds.values():
        if error := _why_it_cannot_begin(run):
            refused.setdefault(str(error), []).append(run.method.split(" [")[0])
    if refused:
        reasons = "; ".join(f"{error} ({list_some(labels)})" for error, labels in refused.items())
        raise ValueError(f"nothing was started: {reasons}")


def _why_it_cannot_begin(run: Run) -> ValueError | None:
    paper = papers.paper(run.paper)
    if paper.device_of(run.stage, run.config) == CPU_ONLY:  # it would compute all the same
        return None
    try:
        function = paper.function_of(run.stage)
        function(run.config, seed=run.seed, device="meta", checkpoint=_Begun(), log=Log(watch=_stop))
    except ValueError as error:
        return error
    except (Interrupted, NotImplementedError, RuntimeError):  # torch cannot go on without values; the run will tell
        pass
    return None


def _stop(*_: object, **parts: object) -> NoReturn:
    raise Interrupted


class _Begun(Checkpoint):
    """Stops a run where it would restore its last save or read what it needs: it has its data and its step by then."""

    restore = needed = needed_metrics = _stop


# ------------------------------------------------------------------------------------------------ what the runs gave


def metrics_missing(asked: Targets, runs_folder: Path) -> list[str]:
    """A line for each metric that a table names and that finished runs lack: the paper's code contradicts itself."""
    lines = []
    for selection in asked.selections:
        for table, cell in selection.cells():
            done = [row for row in rows_of(cell, runs_folder) if row["status"] == "done"]
            if lacking := [row for row in done if cell.metric not in row["metrics"]]:
                returned = ", ".join(lacking[0]["metrics"]) or "nothing"
                lines.append(
                    f"{selection.paper.name}/{table}/{cell.name}: {len(lacking)} finished runs have no "
                    f"{cell.metric!r}, which tables.py names; train returned: {returned}. "
                    "Correct one of the two (and raise the version in PAPER)"
                )
    return list(dict.fromkeys(lines))


def rows_of(cell: Cell, runs_folder: Path) -> list[Row]:
    """The rows here of a cell's runs."""
    return [row for run in cell.runs if (row := state_of(folder_of(run, runs_folder)).row)]
