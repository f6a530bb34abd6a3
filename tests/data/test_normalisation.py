"""Images are normalised by the mean and deviation of their own data set, but where an authors' code does otherwise."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.hard_negatives import prepare
from benchmarks.novel_class_discovery import task
from contrastbench import papers
from contrastbench.runner.vocabulary import SCALES

ROOT = Path(__file__).parents[2]
MEANS = {  # of all training pixels, as published
    "cifar10": (0.4914, 0.4822, 0.4465),
    "cifar100": (0.5071, 0.4867, 0.4408),
    "stl10": (0.4467, 0.4398, 0.4066),
    "tinyimagenet": (0.4802, 0.4481, 0.3975),
    "imagenet": (0.485, 0.456, 0.406),
}
# Paper, data set, and whose mean its authors' code takes: image/utils.py of HCL, DCL and BCL has CIFAR-10's for all.
OTHERS_BY_THE_CODE = {("hard_negatives", name): "cifar10" for name in ("cifar100", "stl10", "tinyimagenet")}


def base(dataset: str) -> str:
    return "imagenet" if dataset.startswith("imagenet_") else dataset.removesuffix("_reencoded")


def constants(paper: str, statistics: str, dataset: str) -> tuple[float, ...]:
    """The mean that a paper takes for a data set with this setting."""
    if paper == "hard_negatives":
        return {"cifar10": prepare.CIFAR10_MEAN}[statistics]
    return task.CODE_STATISTICS.get(base(dataset), task.CODE_STATISTICS["cifar10"])[0]


def with_printed_numbers(paper: papers.Paper) -> Iterator[tuple[str, str]]:
    """Data set and setting of every declared run, and of the runs that it needs, that takes printed numbers."""
    cells = [cell for table in paper.tables for scale in SCALES for cell in paper.cells(table, scale, [0])]
    runs = [run for cell in cells for run in cell.runs]
    while runs:
        for run in runs:
            if getattr(run.config, "statistics", "own") != "own":
                yield run.config.dataset, run.config.statistics
        runs = [needed for run in runs for needed in run.needs.values()]


@pytest.mark.parametrize("name", papers.names())
def test_printed_means_are_those_of_the_data_set_that_they_are_used_for(name):
    for dataset, statistics in sorted(set(with_printed_numbers(papers.paper(name)))):
        whose = OTHERS_BY_THE_CODE.get((name, base(dataset)), base(dataset))
        assert constants(name, statistics, dataset) == pytest.approx(MEANS[whose], abs=2e-3), dataset


def test_imagenet_is_normalised_with_its_own_numbers():
    assert MEANS["imagenet"] == task.IMAGENET_MEAN


def test_no_other_mean_or_deviation_is_written_down_anywhere():
    """A new constant must join the test above."""
    known = {"prepare.py": 2, "task.py": 2 + 2 * len(task.CODE_STATISTICS), "augmentation.py": 1}  # the last: grey
    found: dict[str, int] = {}
    for folder in ("benchmarks", "baselines", "contrastbench"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == 3:
                    values = [getattr(each, "value", None) for each in node.elts]
                    if all(isinstance(value, float) and 0.1 < value < 0.7 for value in values) and values != sorted(
                        values
                    ):
                        found[file.name] = found.get(file.name, 0) + 1
    assert found == known
