"""Novel class discovery's stage 3: its loss is the printed one."""

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss, normalize

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.discover import discovering, ramp_up
from benchmarks.novel_class_discovery.protocols import SMOKE
from benchmarks.novel_class_discovery.task import load_task, mixed_batches
from contrastbench import losses
from contrastbench.runner import Log

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("pairs", ["cosine", "ranks"])
def test_the_joint_loss_is_the_printed_one_over_three_steps(hard: bool, pairs: str) -> None:
    """One pair after the other, and queues that are lists; short ones, so that the oldest features are overwritten."""
    config = dataclasses.replace(
        SMOKE.discover,
        **{"epochs": 1, "ncl_from_epoch": 0, "hard_from_epoch": 0 if hard else -1, "pairs": pairs, "threshold": 0.99},
        **{"ncl": 0.7, "clusters": 2, "queue": 60, "labelled_queue": 70, "safe": 8},
    )
    task = load_task(config, "cpu", Log())
    training = discovering(config, task, 0, "cpu")
    joint, model, seen = training.step.loss_of, training.network, training.seen
    queue, other = list(joint.queue.features.clone()), list(joint.labelled_queue.features.clone())
    other_labels, written = list(joint.labelled_queue.labels.clone()), [0, 0]
    for batch, given in itertools.islice(
        zip(mixed_batches(task, config.batch, 0, 0, 0), training.inputs(0), strict=True), 3
    ):
        state = {name: value.clone() for name, value in model.state_dict().items()}
        loss = joint(**given)
        model.load_state_dict(state)
        shown = {name: given[name] for name in ("index", "down", "right", "flip")}
        z, z_bar = (model.features(seen.view(shown, view)) for view in range(2))
        u = int(task.unlabelled_in(batch))
        labels = task.labels[batch[u:]]
        assert bool((batch[:u] >= task.labelled).all())
        expected = cross_entropy(model.heads["known"](z[u:]), labels)
        expected = expected + pairs_one_by_one(config, model, z[:u], z_bar[:u])
        for head in ("known", "novel"):
            p, p_bar = (model.heads[head](features).softmax(dim=1) for features in (z, z_bar))
            expected = expected + config.consistency * ramp_up(0, config.ramp_epochs) * mse_loss(p, p_bar)
        past, past_known = torch.stack(queue), torch.stack(other)
        options = {"neighbours": config.neighbours, "variant": config.neighbour_search}
        if hard:
            mixed = losses.hard_negative_cosines(z[:u], past, past_known, given["partners"][:u], keep=config.keep)
            options["hard_cosines"] = mixed
        expected = expected + config.ncl * losses.ncl(z[:u], z_bar[:u], past, **options)
        expected = expected + config.scl * losses.scl(z[u:], z_bar[u:], labels, past_known, torch.stack(other_labels))
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
        for row, label in zip(normalize(z.detach(), dim=1), [None] * u + list(labels), strict=True):
            if label is None:
                queue[written[0] % 60] = row
            else:
                other[written[1] % 70], other_labels[written[1] % 70] = row, label
            written[label is not None] += 1
        torch.testing.assert_close(joint.queue.features, torch.stack(queue))
        torch.testing.assert_close(joint.labelled_queue.features, torch.stack(other))
        assert joint.labelled_queue.labels.tolist() == torch.stack(other_labels).tolist()
    assert min(written) > 70, "both queues went round"


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
