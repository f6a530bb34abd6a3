"""HCL as beta grows: the weights go to the worst negative, and classes spread over the sphere like packed balls.

C: classes; P: points in all; D: dimensions. The negatives are known (other classes), so tau_plus is 0: the setting of
the paper's theorem.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.loss_studies.config import Limit
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, set_cosine_rate

# Largest possible smallest angle between C points on the sphere in 3 dimensions, degrees (Tammes' problem, proven;
# Schuette and van der Waerden 1951, Danzer 1963). On the circle it is 360 / C.
TAMMES_DEGREES = {2: 180.0, 3: 120.0, 4: 109.4712, 5: 90.0, 6: 90.0, 7: 77.8695, 8: 74.8585, 9: 70.5288, 12: 63.4349}
EPOCH_STEPS = 100


def limit(config: Limit, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Minimises the loss from several starts; measures the one of least loss against the best packing."""
    labels = torch.repeat_interleave(torch.arange(len(config.sizes)), torch.tensor(config.sizes))
    points = _starts(config, labels, generator(seed, "weights")).requires_grad_()
    optimizer = torch.optim.Adam([points], lr=config.learning_rate)
    step = TrainingStep(lambda: _loss(config, points, labels), optimizer)
    state = {"points": points.detach(), "optimizer": optimizer}
    epochs = config.steps // EPOCH_STEPS
    log.total(epochs, "blocks")
    for epoch in range(checkpoint.restore(**state), epochs):
        set_cosine_rate(optimizer, config.learning_rate, epoch, epochs)
        for _ in range(EPOCH_STEPS):
            step()
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, **state)
    log.selected_by("start of least loss")
    best = min(points.detach(), key=lambda start: float(_loss(config, start[None], labels)))
    return _measure(config, normalize(best, dim=1), labels)


def _starts(config: Limit, labels: Tensor, rng: torch.Generator) -> Tensor:
    """[S, P, D] loose clusters: around random directions; on the circle around places in random order, some apart.

    Classes cannot pass each other on a circle, and two that begin on one spot would stay there.
    """
    shape = (config.starts, len(config.sizes))
    if config.dimensions == 2:
        order = torch.rand(shape, generator=rng).argsort(dim=1)
        angle = 2 * math.pi * (order + 0.3 * torch.rand(shape, generator=rng)) / shape[1]
        centres = torch.stack([angle.cos(), angle.sin()], dim=2)
    else:
        centres = normalize(torch.randn(*shape, config.dimensions, generator=rng), dim=2)
    noise = torch.randn(shape[0], len(labels), config.dimensions, generator=rng)
    return centres[:, labels] + 0.1 * noise


def _loss(config: Limit, points: Tensor, labels: Tensor) -> Tensor:
    """HCL with every pair of a class as positives and every point of another class as a negative."""
    u = normalize(points, dim=2)
    scores = u @ u.transpose(1, 2) / config.temperature
    same = labels[:, None] == labels[None, :]
    anchor, partner = (same & ~torch.eye(len(labels), dtype=torch.bool)).nonzero(as_tuple=True)
    return losses.hard_info_nce(
        scores[:, anchor, partner].flatten(),
        scores[:, anchor].flatten(0, 1),
        tau_plus=0.0,
        beta=config.beta,
        log_floor=-1 / config.temperature,
        keep=(~same[anchor]).repeat(len(points), 1),
    )


def _measure(config: Limit, u: Tensor, labels: Tensor) -> dict:
    classes = len(config.sizes)
    centres = normalize(torch.stack([u[labels == c].mean(dim=0) for c in range(classes)]), dim=1)
    cosines = centres @ centres.T
    cosines.fill_diagonal_(-1)
    smallest = math.degrees(math.acos(float(cosines.max().clamp(-1, 1))))
    best = 360 / classes if config.dimensions == 2 else TAMMES_DEGREES[classes]
    scores = (u @ u.T / config.temperature)[0][labels != labels[0]]
    weights = losses.hardness_weights(scores, config.beta)
    within = torch.linalg.vecdot(u, centres[labels]).clamp(-1, 1).acos().rad2deg()
    reweighted, worst = (weights * scores.exp()).mean(), scores.exp().max()
    return {
        "smallest_angle_degrees": smallest,
        "share_of_best_packing_percent": 100 * smallest / best,
        "mean_spread_of_a_class_degrees": float(within.mean()),
        "negative_term_of_the_worst_percent": float(100 * reweighted / worst),
        "effective_negatives_percent": float(100 * weights.sum() ** 2 / weights.square().sum() / len(weights)),
        "coordinates": u.flatten().tolist(),
        "labels": labels.float().tolist(),
    }
