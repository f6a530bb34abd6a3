"""Novel class discovery's stage 3: its step suits a GPU, and its masked loss is the loss of the rows themselves."""

import dataclasses
import warnings
from typing import Any

import pytest
import torch
from discovery_stages import THREE_EPOCHS, Handed, moved, network_of, result
from torch.nn.functional import cross_entropy, mse_loss, normalize

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.joint import Joint, ramp
from benchmarks.novel_class_discovery.protocols import SMOKE
from benchmarks.novel_class_discovery.queues import Memory, Plan
from benchmarks.novel_class_discovery.stages import Seen
from benchmarks.novel_class_discovery.tables import as_paper
from benchmarks.novel_class_discovery.task import load_task, mixed_batches
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import Log
from contrastbench.training import TrainingStep

pytestmark = pytest.mark.usefixtures("few_digits")


class ReachedError(Exception):
    """The epoch's steps are taken."""


@pytest.mark.parametrize("stage", [*THREE_EPOCHS, "discover as_paper", "discover ranks"])
def test_a_whole_epoch_of_steps_goes_through_on_the_meta_device(
    stage: str, artefacts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU would refuse inside a captured step (an input left on the CPU, a question to it) fails there too."""

    def reached(*_: Any) -> None:
        raise ReachedError

    config = THREE_EPOCHS[stage.split()[0]]
    if stage == "discover as_paper":
        config = dataclasses.replace(config, **as_paper(SMOKE) | {"queue": 200})
    if stage == "discover ranks":
        config = dataclasses.replace(config, pairs="ranks")
    if isinstance(config, Discover):
        config = dataclasses.replace(config, ncl_from_epoch=0, hard_from_epoch=0)
    monkeypatch.setattr(TrainingStep, "mean_loss", reached)
    with warnings.catch_warnings(), pytest.raises(ReachedError):
        warnings.simplefilter("error")
        result(stage.split()[0], config, Handed(moved(artefacts, "meta")), device="meta")


def test_all_steps_of_a_run_have_the_same_shapes() -> None:
    task = load_task(SMOKE.discover, "cpu", Log())
    config = dataclasses.replace(SMOKE.discover, epochs=3, hard_from_epoch=0, ncl_from_epoch=0, mixing="random")
    plan = Plan(config, task, seed=0)
    joint = Joint(config, Seen(config, task), network_of(task), Memory(config, 64, 0), plan)
    shapes = set()
    for epoch in range(3):
        rng = generator(0, "augmentation", epoch)
        for number, batch in enumerate(mixed_batches(task, config.batch, 0, 0, epoch)):
            given = joint.inputs(batch, epoch, number, rng)
            shapes.add(tuple((name, value.shape, value.dtype) for name, value in given.items()))
    assert len(shapes) == 1


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("pairs", ["cosine", "ranks"])
def test_the_masked_joint_loss_is_the_loss_of_the_rows_themselves(hard: bool, pairs: str) -> None:
    """With boolean indexing in place of masks, one pair after the other, and queues that are lists."""
    config = dataclasses.replace(
        SMOKE.discover,
        **{"epochs": 1, "ncl_from_epoch": 0, "hard_from_epoch": 0 if hard else -1, "pairs": pairs, "threshold": 0.99},
        ncl=0.7,
    )
    task = load_task(config, "cpu", Log())
    model, seen, memory = network_of(task), Seen(config, task), Memory(config, 64, 0)
    plan = Plan(config, task, seed=0)
    joint = Joint(config, seen, model, memory, plan)
    queue, other, queue_labels = (part.clone() for part in (memory.unlabelled, memory.labelled, memory.labels))
    for number, batch in enumerate(mixed_batches(task, config.batch, 0, 0, 0)[:3]):
        given = joint.inputs(batch, 0, number, generator(0, "augmentation", number))
        state = {name: value.clone() for name, value in model.state_dict().items()}
        loss = joint(**given, **joint.phase(0))
        model.load_state_dict(state)
        shown = {name: given[name] for name in ("index", "down", "right", "flip")}
        z, z_bar = (model.features(seen.view(shown, view)) for view in range(2))
        n = batch.unlabelled
        unlabelled, labelled = torch.arange(len(z)) < n, torch.arange(len(z)) >= n
        labels = task.labels[batch.index[labelled]]
        assert bool((batch.index[unlabelled] >= task.labelled).all())
        expected = cross_entropy(model.heads["known"](z[labelled]), labels) + pairs_one_by_one(
            config, model, z[unlabelled], z_bar[unlabelled]
        )
        for head in ("known", "novel"):
            p, p_bar = (model.heads[head](features).softmax(dim=1) for features in (z, z_bar))
            expected = expected + config.consistency * ramp(0, config.ramp_epochs) * mse_loss(p, p_bar)
        options = {"neighbours": config.neighbours, "variant": config.neighbour_search}
        if hard:
            partners = given["partners"][:n]
            options["hard_cosines"] = losses.hard_negative_cosines(
                z[unlabelled], queue[:-1], other[:-1], partners, keep=config.keep
            )
        expected = expected + config.ncl * losses.ncl(z[unlabelled], z_bar[unlabelled], queue[:-1], **options)
        expected = expected + config.scl * losses.scl(
            z[labelled], z_bar[labelled], labels, other[:-1], queue_labels[:-1]
        )
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
        u = normalize(z.detach(), dim=1)
        for place, row in enumerate(u[unlabelled]):
            queue[(plan.unlabelled_before[0][number] + place) % config.queue] = row
        for place, row in enumerate(u[labelled]):
            slot = (plan.labelled_before[0][number] + place) % config.labelled_queue
            other[slot], queue_labels[slot] = row, labels[place]
        for ours, theirs in ((memory.unlabelled, queue), (memory.labelled, other), (memory.labels, queue_labels)):
            torch.testing.assert_close(ours[:-1], theirs[:-1])


def pairs_one_by_one(config: Discover, model: Any, z: torch.Tensor, z_bar: torch.Tensor) -> torch.Tensor:
    p, p_bar = (model.heads["novel"](features).softmax(dim=1) for features in (z, z_bar))
    u, terms = normalize(z.detach(), dim=1), []
    strongest = [set(row.argsort(descending=True)[: config.ranks].tolist()) for row in z.detach()]
    for i in range(len(z)):
        for j in range(len(z)):
            same = u[i] @ u[j] > config.threshold if config.pairs == "cosine" else strongest[i] == strongest[j]
            likelihood = p[i] @ p_bar[j] if same else 1 - p[i] @ p_bar[j]
            terms.append(-(likelihood + 1e-7).log())
    return torch.stack(terms).mean()
