"""Runs that need other runs: seeds, settings, lost artefacts, metrics of needed runs, and kills anywhere."""

import multiprocessing
import os
import signal
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import pytest
from rich.console import Console

from contrastbench import papers, shipping
from contrastbench.cli.plan import plan_grid
from contrastbench.cli.status import status_grid
from contrastbench.evidence import gather
from contrastbench.runner import claims
from contrastbench.runner.checkpoint import Checkpoint
from contrastbench.runner.launchers import inline
from contrastbench.runner.plan import Price, Slots, plan, write_tickets
from contrastbench.runner.rows import MADE_AGAIN, read_row, result_of, rows_shipped, seal, write_row
from contrastbench.runner.states import folder_of, spare_files
from contrastbench.runner.vocabulary import chain
from contrastbench.selection import select
from contrastbench.verifying import check_needs


def by_stage(rows):
    found = {"pretrain": [], "discover": [], "mean": []}
    for row in rows.values():
        found[row["stage"]].append(row)
    return found


def results(rows):
    return {key: result_of(row) for key, row in rows.items()}


def test_every_seed_has_its_own_chain(bench):
    bench.run_inline("staged/main/Plain")
    rows = bench.rows("staged/main/Plain")
    stages = by_stage(rows)
    assert {stage: sorted(row["seed"] for row in found) for stage, found in stages.items()} == {
        "pretrain": [0, 1],
        "discover": [0, 0, 0, 1, 1, 1],
        "mean": [0, 1],
    }
    for row in rows.values():
        assert all(rows[key]["seed"] == row["seed"] for _, key in row["needs"])
    losses = {row["metrics"]["train_loss"] for row in stages["pretrain"]}
    assert len(losses) == 2, "two seeds pre-trained the same"


def test_a_shared_stage_is_done_once_for_all_seeds(bench):
    bench.run_inline("staged/shared/Plain", seeds=[0, 1, 2])
    stages = by_stage(bench.rows("staged/shared/Plain", seeds=[0, 1, 2]))
    assert {stage: len(found) for stage, found in stages.items()} == {"pretrain": 1, "discover": 9, "mean": 3}
    assert {row["seed"] for row in stages["discover"]} == {0, 1, 2}


def test_the_metrics_of_needed_runs_make_a_mean(bench):
    bench.run_inline("staged/main/Better", seeds=[0])
    stages = by_stage(bench.rows("staged/main/Better", seeds=[0]))
    scores = [row["metrics"]["test_top1_percent"] for row in sorted(stages["discover"], key=lambda row: row["method"])]
    assert len(set(scores)) == 3
    assert stages["mean"][0]["metrics"]["test_mean_percent"] == mean(scores)
    assert stages["mean"][0]["artefacts_read"] == {}
    (pretrained,) = stages["pretrain"]
    for row in stages["discover"]:
        assert row["artefacts_read"] == {"pretrain": pretrained["artefact_sha256"]}
        assert row["artefact_sha256"] is None


def test_tables_share_stages(bench):
    bench.run_inline("staged/splits", seeds=[0])
    assert len(bench.jobs("staged/main/Plain", seeds=[0])) == 1, "only the mean is left to do"


def changed(target="staged/main/Plain", **settings):
    """The stages of the cell's first run under settings, by stage, and the cell."""
    settings = {name.replace("__", "."): value for name, value in settings.items()}
    ((_, cell),) = select(target, "quick", settings=settings).cells()
    return {run.stage: run for run in chain([cell.runs[0]]).values()}, cell


def test_a_field_that_only_a_needed_run_has_reaches_it():
    stages, cell = changed(epochs="7")
    assert stages["pretrain"].config.epochs == 7
    assert [stages[stage].method for stage in ("pretrain", "discover", "mean")] == [
        "Walk [epochs=7]",
        "split c [epochs=7]",
        "Plain [epochs=7]",
    ]
    assert (cell.method, cell.settings) == ("Plain [epochs=7]", {"gain": 0.0, "epochs": 7})
    plain, _ = changed()
    assert all(stages[stage].key != plain[stage].key for stage in plain)


def test_a_stage_and_the_name_of_a_need_reach_their_runs_alone():
    stages, cell = changed(discover__seconds="0.5")
    assert (stages["discover"].config.seconds, stages["pretrain"].config.seconds) == (0.5, 0.0)
    assert stages["pretrain"].method == "Walk" and stages["pretrain"].key == changed()[0]["pretrain"].key
    assert cell.method == "Plain [discover.seconds=0.5]"
    _, cell = changed(b__rounds="9")
    rounds = [need.config.rounds for need in cell.runs[0].needs.values()]
    assert rounds == [2, 9, 2]


def test_a_setting_of_the_run_itself_leaves_what_it_needs_alone():
    stages, _ = changed("staged/splits/split a", rounds="9")
    assert stages["pretrain"].key == changed()[0]["pretrain"].key


def test_a_changed_dataset_changes_the_whole_chain():
    stages, cell = changed(dataset="noise9")
    assert {run.config.dataset for run in stages.values() if run.stage != "mean"} == {"noise9"}
    assert {run.dataset for run in stages.values()} == {"noise9"} and cell.dataset == "noise9"
    assert cell.method == "Plain"
    other, cell = changed(pretrain__dataset="noise9")
    assert other["pretrain"].dataset == "noise9" and other["discover"].config.dataset == "noise8"
    assert (cell.dataset, cell.method) == ("noise8", "Plain [pretrain.dataset=noise9]")
    again, _ = changed("staged/splits/split a", dataset="noise9")
    assert again["pretrain"].key == stages["pretrain"].key


def test_a_setting_keeps_what_seeds_share():
    _, cell = changed("staged/shared/Plain", epochs="7")
    assert {need.needs["pretrain"].seed for run in cell.runs for need in run.needs.values()} == {0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seconds": "1"}, "several stages have 'seconds'; say pretrain.seconds or discover.seconds"),
        ({"colour": "red"}, "unknown setting 'colour'; a run of staged has: pretrain.dataset, pretrain.epochs"),
        ({"walk__epochs": "2"}, "unknown setting 'walk.epochs'; a run of staged has: pretrain.dataset"),
        ({"epochs": "0"}, "setting epochs must be at least 1, got 0"),
        ({"pretrain__epochs": "many"}, "setting pretrain.epochs must be of type int, got 'many'"),
    ],
    ids=str,
)
def test_a_setting_that_reaches_nothing_or_too_much_says_what_is_possible(settings, said):
    with pytest.raises(ValueError) as refused:
        changed(**settings)
    assert said in str(refused.value)


def pretrained(bench, seeds=(0,)):
    runs = {each.run.key: each.run for each in bench.plan("staged/main/Plain", seeds)}
    return [folder_of(run, bench.folder) for run in runs.values() if run.stage == "pretrain"]


def spoil(artefact, how):
    if how == "lost":
        artefact.unlink()
    else:
        artefact.write_bytes(artefact.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("how", ["lost", pytest.param("damaged", marks=pytest.mark.slow)])
def test_a_spoiled_artefact_is_made_again_when_something_needs_it(bench, how):
    bench.run_inline("staged/splits/split a", seeds=[0])
    (folder,) = pretrained(bench)
    before = read_row(folder / "row.json")
    spoil(folder / "artefact.pt", how)
    assert bench.jobs("staged/splits/split a", seeds=[0]) == [], "nothing needs it"
    planned = {each.run.method: each for each in bench.plan("staged/splits", [0])}
    assert planned["Walk"].state.name == "lost" and "its run is done again" in planned["Walk"].state.problem
    bench.run("staged/splits", seeds=[0])
    assert bench.states("staged/splits", [0]) == ["done"] * 4
    after = read_row(folder / "row.json")
    assert result_of(after) == result_of(before) and after["artefact_sha256"] == before["artefact_sha256"]
    assert (after["attempt"], after["resumes"]) == (2, 0)
    assert read_row(folder / "lost.1.json") == before


def test_an_artefact_that_goes_while_runs_wait_for_it_fails_them_and_retry_mends_all(bench):
    first, *waiting = bench.jobs("staged/splits", seeds=[0])
    bench.launch([first])
    spoil(first.folder / "artefact.pt", "lost")
    bench.launch(waiting)
    assert bench.states("staged/splits", [0]) == ["done", *["failed"] * 3]
    assert "is lost; `contrastbench retry` does" in read_row(waiting[0].folder / "row.json")["error"]["message"]
    done = bench.command("retry", "staged/splits", "--seeds", "1", "--launcher", "inline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 runs to do again, and 1 that they need or that waited for them" in done.stdout
    assert bench.states("staged/splits", [0]) == ["done"] * 4


def test_retry_of_a_failed_need_also_does_what_waited_for_it(bench, tmp_path):
    settings = {"fail_at": "0", "fail_unless": str(tmp_path / "mended")}
    walk = {f"walk.{name}": value for name, value in settings.items()}
    bench.run_inline("toy/chain", seeds=[0], settings=walk)
    assert bench.states("toy/chain", [0], walk) == ["failed", "new", "new"]
    (tmp_path / "mended").touch()
    sets = [f"--set={name}={value}" for name, value in walk.items()]
    bench.command("retry", "toy/chain", "--seeds", "1", "--launcher", "inline", *sets)
    assert bench.states("toy/chain", [0], walk) == ["done"] * 3


def test_what_is_not_needed_by_a_name_says_what_is(tmp_path):
    checkpoint = Checkpoint(tmp_path, needed={"pretrain": tmp_path})
    with pytest.raises(ValueError, match="this run needs no run called 'walk'; it needs: pretrain"):
        checkpoint.needed("walk")
    with pytest.raises(ValueError, match="this run needs no run called 'a'; it needs: nothing"):
        Checkpoint().needed_metrics("a")


def test_a_checkpoint_ends_with_its_run_and_the_artefact_stays(bench):
    jobs = bench.jobs("staged/splits/split a", seeds=[0])
    bench.launch(jobs)
    assert [(job.folder / "artefact.pt").exists() for job in jobs] == [True, False]
    assert not list(bench.folder.glob("*/*/checkpoint.pt"))


@pytest.mark.parametrize(("every", "cost", "saves"), [(0.0, 5.0, 40), (20.0, 0.1, 10), (20.0, 2.0, 2)])
def test_the_longer_a_save_takes_the_rarer_it_is(tmp_path, monkeypatch, every, cost, saves):
    """Forty epochs of 5 s: a save of 0.1 s every 20 s, one of 2 s every 100 s."""
    now, written = [0.0], []

    class Slow:
        """A part whose state takes ``cost`` seconds to save."""

        def state_dict(self):
            now[0] += cost
            written.append(now[0])
            return {}

    monkeypatch.setattr("contrastbench.runner.checkpoint.time", SimpleNamespace(monotonic=lambda: now[0]))
    checkpoint = Checkpoint(tmp_path, every_seconds=every)
    for epoch in range(40):
        now[0] += 5.0
        checkpoint.save(epoch, part=Slow())
    assert len(written) == pytest.approx(saves, abs=1)


def counts(target):
    """Whether a rename is one of the chain's steps: heartbeats come by the clock."""
    return not Path(target).name.startswith("heartbeat")


def run_chain_and_die(folder, number, after):
    """Runs the chain and kills its own process at the ``number``-th rename, before or after it."""
    real, count = os.replace, [0]

    def replace(source, target):
        count[0] += counts(target)
        is_the_one = counts(target) and count[0] == number
        if is_the_one and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, target)
        if is_the_one:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace
    planned = plan(select("staged/main/Plain", "quick", [0], None).cells(), folder)
    inline.launch(write_tickets(planned, folder), watch=lambda job, event: None)


def test_a_chain_that_is_killed_at_any_write_ends_as_if_it_was_not(bench, tmp_path, monkeypatch):
    quiet, renames, real = type(bench)(tmp_path / "quiet"), [], os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *arguments: renames.append(arguments) or real(*arguments))
        quiet.run_inline("staged/main/Plain", seeds=[0])
    expected = results(quiet.rows("staged/main/Plain", seeds=[0]))
    assert {Path(target).name for _, target in renames} >= {"checkpoint.pt", "artefact.pt", "row.json"}
    server = multiprocessing.get_context("forkserver")  # its processes hold no threads of earlier tests
    server.set_forkserver_preload(["contrastbench.verifying", "contrastbench.shipping", "pytest", "torch"])
    for number in range(1, sum(counts(target) for _, target in renames) + 1):
        disturbed = type(bench)(tmp_path / f"killed at {number}")
        process = server.Process(target=run_chain_and_die, args=(disturbed.folder, number, number % 2))
        process.start()
        process.join()
        log = "".join(path.read_text() for path in disturbed.folder.glob("*/*/log.txt"))
        assert process.exitcode == -signal.SIGKILL, f"rename {number} was not the end but {process.exitcode}:\n{log}"
        disturbed.run_inline("staged/main/Plain", seeds=[0])
        assert results(disturbed.rows("staged/main/Plain", seeds=[0])) == expected, f"killed at write {number}"
        left = list(disturbed.folder.glob("*/*/checkpoint.pt"))
        assert left == spare_files(disturbed.folder.glob("*/*")), "`clean` takes what a kill left"


def test_clean_lists_what_can_go_and_frees_it_when_told_to(bench):
    first, last = bench.jobs("staged/splits/split a", seeds=[0])
    bench.launch([first, last])
    for job in (first, last):
        (job.folder / "checkpoint.pt").write_bytes(b"0" * 1_000_000)  # as after a kill between row and removal
    (last.folder / ".checkpoint.pt.1.aa.tmp").write_bytes(b"0" * 500_000)
    os.utime(last.folder / ".checkpoint.pt.1.aa.tmp", (0, 0))
    (last.folder / ".row.json.1.bb.tmp").write_bytes(b"0")  # somebody may be writing it
    listed = bench.command("clean")
    assert "3 files, 2.5 MB can be freed; --yes does it" in listed.stdout, listed.stdout + listed.stderr
    assert (first.folder / "checkpoint.pt").exists()
    assert "3 files, 2.5 MB freed" in bench.command("clean", "--yes").stdout
    kept = {path.name for job in (first, last) for path in job.folder.iterdir()}
    assert "checkpoint.pt" not in kept and {"artefact.pt", "row.json", ".row.json.1.bb.tmp"} <= kept
    assert "1 files" in bench.command("clean", "staged", "--artefacts", "--yes").stdout
    assert bench.states("staged/splits/split a", [0]) == ["done"] * 2, "rows stay"
    assert bench.states("staged/splits/split b", [0]) == ["lost", "new"]


def test_clean_leaves_what_an_open_run_goes_on_from(bench):
    first, second = bench.jobs("staged/splits/split a", seeds=[0])
    for job in (first, second):
        (job.folder / "checkpoint.pt").write_bytes(b"0")
    claims.take(first.folder, 0)  # this process is at it
    assert spare_files([first.folder, second.folder], artefacts=True) == []


def test_plan_and_status_count_needed_runs_under_their_stage(bench):
    planned = bench.plan("staged/main/Plain")
    said = shown(plan_grid(planned, {each.run.key: Price(3600.0, "cpu (A)") for each in planned}, Slots(1, "CPU", 1)))
    lines = [line.split() for line in said.splitlines()]
    for heading, cell in (("pretrain", ["noise8/Walk"]), ("discover", ["noise8/split", "a"])):
        assert [*cell, "2", "2.00", "2.0", "h"] == lines[
            lines.index(f"staged/stage {heading}, quick scale".split()) + 1
        ]
    assert lines[lines.index(["staged/main,", "quick", "scale"]) + 1] == ["noise8/Plain", "2", "2.00", "2.0", "h"]
    said = shown(status_grid(planned))
    assert "staged/stage pretrain" in said and "staged/stage discover" in said and "staged/main" in said


def shown(grid):
    console = Console(width=200)
    with console.capture() as said:
        console.print(grid)
    return said.get()


@pytest.fixture
def here(bench):
    """A paper with clean rows in the bench's runs folder."""
    bench.run_inline("staged/main", seeds=[0, 1, 2])
    for path in bench.folder.glob("*/*/row.json"):
        row = read_row(path)
        write_row(path, seal({**row, "git": {**row["git"], "dirty": False}}))
    return papers.paper("staged")


def test_needed_rows_are_shipped_with_those_of_tables(here, bench, tmp_path):
    rows = {row["key"]: row for row in gather(here, bench.folder, tmp_path).here}
    assert {stage: len(found) for stage, found in by_stage(rows).items()} == {"pretrain": 3, "discover": 18, "mean": 6}
    shipping.ship(here, rows, tmp_path)
    shipped = rows_shipped(tmp_path, "staged")
    assert {row["key"] for row in shipped} == set(rows)
    assert not [*check_needs(shipped)]
    planned = plan(select("staged/main", "quick").cells(), bench.folder, frozenset(rows))
    assert all(each.shipped for each in planned)


def test_a_row_may_rest_on_a_needed_run_that_another_machine_made_again(here, bench, tmp_path):
    """All rows but a mean and those that it needs came from another machine, whose pre-training ended in other bits."""
    rows = {row["key"]: row for row in gather(here, bench.folder, tmp_path).here}
    mean = min(key for key, row in rows.items() if row["stage"] == "mean")
    late = {key: rows[key] for key in (mean, *(key for _, key in rows[mean]["needs"]))}
    (first,) = {key for row in late.values() for _, key in row["needs"]} - late.keys()
    shipped = {key: seal(elsewhere(row, first)) for key, row in rows.items() if key not in late}
    shipping.ship(here, shipped, tmp_path)
    with pytest.raises(ValueError, match="read another artefact 'pretrain' than row"):
        shipping.ship(here, late, tmp_path)
    shipping.ship(here, late, tmp_path, [rows[first]])
    assert rows_shipped(tmp_path, "staged", MADE_AGAIN) == [rows[first]]
    evidence = gather(here, None, tmp_path)
    assert {row["key"]: row for row in evidence.shipped} == {**shipped, **late}
    assert not [*check_needs(evidence.shipped, [rows[first]])]
    problems = [*check_needs(evidence.shipped)]
    assert len(problems) == 3 and all("read another artefact 'pretrain' than row" in problem for problem in problems)


def elsewhere(row, first):
    """The row as a machine would have made it that keeps another artefact of one run."""
    read = {name: "0" * 64 if [name, first] in row["needs"] else sha for name, sha in row["artefacts_read"].items()}
    return {**row, "artefacts_read": read} | ({"artefact_sha256": "0" * 64} if row["key"] == first else {})


def test_more_seeds_of_a_chain_than_declared_stand_in_the_table(here, bench, tmp_path):
    (main, splits, shared) = gather(here, bench.folder, tmp_path).tables
    assert [len(cell.here.done) for cell in main.cells] == [3, 3], "two are declared"
    assert [len(cell.here.done) for cell in splits.cells] == [3, 3, 3]
    assert [len(cell.here.done) for cell in shared.cells] == [1, 1], "seed 0 pre-trains on its own there and here"


def test_a_row_whose_needed_row_is_missing_is_neither_shipped_nor_verified(here, bench, tmp_path):
    rows = {row["key"]: row for row in gather(here, bench.folder, tmp_path).here}
    pretrained = [key for key, row in rows.items() if row["stage"] == "pretrain"]
    without = {key: row for key, row in rows.items() if key != pretrained[0]}
    with pytest.raises(ValueError, match="needs 'pretrain', row .* which is not there, so nothing was shipped"):
        shipping.ship(here, without, tmp_path)
    assert rows_shipped(tmp_path, "staged") == []
    problems = [*check_needs(list(without.values()))]
    assert len(problems) == 6 and all("which is not there" in problem for problem in problems)
    other = {**rows[pretrained[0]], "artefact_sha256": "0" * 64}
    problems = [*check_needs(list({**rows, pretrained[0]: other}.values()))]
    assert len(problems) == 6 and all("read another artefact 'pretrain' than row" in problem for problem in problems)
