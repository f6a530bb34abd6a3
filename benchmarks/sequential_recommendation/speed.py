"""Times an epoch of training and a ranking two ways, in turns: ours, and straight from the formulas.

    python -m benchmarks.sequential_recommendation.speed --device cpu --output FILE

"ours" is what runs do on a CPU: batches by length, and padding met in attention alone. "formulas" fills every sequence
up to 50 places, computes all outputs of all passes, and ranks by a mask of what each user has seen and a sort. Before,
both compute the loss of the same batch, without dropout. Processor time is measured, since other work on the machine
disturbs it less. The data sets are read from the data root.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from benchmarks.sequential_recommendation.batches import VIEWS, Task, load_task
from benchmarks.sequential_recommendation.config import Train
from benchmarks.sequential_recommendation.sasrec import build, contrastive, loss_of
from benchmarks.sequential_recommendation.tables import METHODS
from contrastbench.data.interactions import PADDING, pad_left
from contrastbench.encoders.sequences import SequenceEncoder
from contrastbench.evaluation.ranking import rank_next_items
from contrastbench.randomness import generator
from contrastbench.timing import Line, measure, seconds_in_turns
from contrastbench.training import TrainingStep

OURS, FORMULAS = "ours", "formulas"


def lines(
    device: str,
    datasets: tuple[str, ...] = ("LastFM", "Beauty"),
    methods: tuple[str, ...] = ("SASRec", "SASRec, CE", "CL4SRec", "DuoRec"),
    steps: int = 4,
    turns: int = 3,
) -> Iterator[Line]:
    """A line for each data set, work and way.

    Args:
        steps: of training, in a turn.
    """
    if device != "cpu":
        raise ValueError(f"processor time is measured: --device must be cpu, got {device}")
    if unknown := {*methods} - {*METHODS}:
        raise ValueError(f"unknown method {min(unknown)!r}; there are: {', '.join(METHODS)}")
    for dataset in datasets:
        for method in methods:
            task = load_task(Train(dataset=dataset, **METHODS[method]))
            yield from _lines_of(dataset, f"training, {method}", training(task, steps), turns, steps)
        yield from _lines_of(dataset, "ranking", ranking(task), turns, 1)


def _lines_of(dataset: str, work: str, ways: dict[str, Callable[[], object]], turns: int, times: int) -> Iterator[Line]:
    seconds = seconds_in_turns(ways, turns, processor_time=True)
    for way, each in seconds.items():
        milliseconds, ratio = f"{1000 * each / times:.1f}", f"{seconds[FORMULAS] / each:.2f}"
        yield {"dataset": dataset, "work": work, "way": way, "milliseconds": milliseconds, "times_formulas": ratio}


def training(task: Task, steps: int) -> dict[str, Callable[[], object]]:
    """Both ways to take the same steps; each goes on from where it was.

    Raises:
        AssertionError: they give different losses to the first batch, without dropout.
    """
    rng = generator(0, "order")
    batches = [torch.randperm(len(task.rows), generator=rng)[: task.config.batch] for _ in range(steps)]
    whole = replace(task, config=replace(task.config, pieces=1))
    ours, formulas = (loss_of, task), (plain_loss, whole)
    first = (
        make(own.config, build(own.config, own, 0).eval())(**own.inputs(batches[0], generator(0, "augmentation")))
        for make, own in (ours, formulas)
    )
    torch.testing.assert_close(*first, rtol=1e-6, atol=0)
    return {OURS: _taking(*ours, batches), FORMULAS: _taking(*formulas, batches)}


def _taking(make_loss: Callable[..., Any], task: Task, batches: list[Tensor]) -> Callable[[], object]:
    """Some steps of one way, with the drawing of their batches."""
    encoder = build(task.config, task, 0).train()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=task.config.learning_rate)
    step = TrainingStep(make_loss(task.config, encoder), optimizer, modules=[encoder])

    def take() -> None:
        rng = generator(0, "augmentation")
        for index in batches:
            step(**task.inputs(index, rng))
        step.mean_loss()

    return take


def plain_loss(config: Train, encoder: SequenceEncoder) -> Callable[..., Tensor]:
    """The loss of one batch, every sequence filled up to the longest that there may be."""

    def states(rows: Tensor) -> Tensor:
        return encoder(torch.nn.functional.pad(rows, (config.longest - rows.shape[1], 0)))

    def loss(main0: Tensor, target0: Tensor, negative0: Tensor | None = None, **views: Tensor) -> Tensor:
        outputs = states(main0)[:, -target0.shape[1] :]
        there = target0 != PADDING
        if negative0 is None:
            each = cross_entropy(encoder.scores(outputs)[..., :-1].transpose(1, 2), target0, reduction="none")
        else:
            right, wrong = ((outputs * encoder.items(numbers)).sum(dim=2) for numbers in (target0, negative0))
            each = -logsigmoid(right) - logsigmoid(-wrong)
        total = (each * there).sum() / there.sum()
        if not views:
            return total
        z_a, z_b = (states(views[f"{view}0"])[:, -1] for view in VIEWS)
        return total + config.weight * contrastive(config, z_a, z_b)

    return loss


def ranking(task: Task) -> dict[str, Callable[[], object]]:
    """Both ways to rank the test items of all users under the rule ``zeroed``."""
    encoder = build(task.config, task, 0).eval()
    histories, targets = task.split.questions("test")

    @torch.no_grad()
    def formulas() -> Tensor:
        rows, wanted, places = torch.from_numpy(pad_left(histories, task.config.longest)), torch.from_numpy(targets), []
        for users in torch.arange(len(rows)).split(256):
            scores = encoder.scores(encoder(rows[users])[:, -1])
            for row, user in enumerate(users.tolist()):
                scores[row, torch.from_numpy(histories[user])] = 0.0
            order = scores.argsort(dim=1, descending=True)
            places.append((order == wanted[users, None]).int().argmax(dim=1))
        return torch.cat(places)

    return {OURS: lambda: rank_next_items(encoder, task.split, "test", ("zeroed",), "cpu"), FORMULAS: formulas}


if __name__ == "__main__":
    measure(lines, ("dataset", "work", "way"), __doc__)
