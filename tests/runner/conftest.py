"""A runs folder and short ways to plan, do and read toy runs."""

import pytest
from command_line import contrastbench

from contrastbench.runner.launchers import inline, local
from contrastbench.runner.plan import plan, write_tickets
from contrastbench.runner.rows import read_row
from contrastbench.runner.states import folder_of
from contrastbench.selection import select


class Bench:
    """The toy paper in a runs folder of its own."""

    def __init__(self, runs_folder):
        self.folder = runs_folder

    def plan(self, target, seeds=None, settings=None):
        cells = select(target, "quick", seeds, settings).cells()
        return plan(cells, self.folder)

    def jobs(self, target, seeds=None, settings=None):
        to_run = [each for each in self.plan(target, seeds, settings) if each.is_to_run]
        return write_tickets(to_run, self.folder)

    def run(self, target, seeds=None, settings=None, workers=2, watch=lambda job, event: None):
        return local.launch(self.jobs(target, seeds, settings), [local.Host(launcher="local")] * workers, watch=watch)

    def run_inline(self, target, seeds=None, settings=None):
        return self.launch(self.jobs(target, seeds, settings))

    def launch(self, jobs):
        return inline.launch(jobs, watch=lambda job, event: None)

    def command(self, *arguments, results=None):
        return contrastbench(*arguments, runs=self.folder, results=results)

    def rows(self, target, seeds=None, settings=None):
        planned = self.plan(target, seeds, settings)
        paths = [folder_of(each.run, self.folder) / "row.json" for each in planned]
        return {path.parent.name: read_row(path) for path in paths if path.exists()}

    def states(self, target, seeds=None, settings=None):
        return [each.state.name for each in self.plan(target, seeds, settings)]


@pytest.fixture(scope="session")
def bench_type():
    return Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "runs")
