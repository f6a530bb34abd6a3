"""InfoNCE is a lower bound on mutual information, and saturates at log N.

x, y in R^d, each pair of coordinates with correlation r: I(x; y) = -d/2 log(1 - r^2) nats.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.loss_studies.config import Information
from benchmarks.loss_studies.triplets import mlp
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, set_cosine_rate

EPOCH_STEPS = 100
CRITIC_WIDTH = 32  # of what the two networks of a critic give
Critic = Callable[[Tensor, Tensor], Tensor]  # x [N, d], y [N, d] -> scores [N, N]


def information(config: Information, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """The bound log N - loss on new pairs, with the optimal critic or a trained one."""
    r = math.sqrt(1 - math.exp(-2 * config.truth / config.dimensions))
    log.total(config.steps // EPOCH_STEPS + 1, "blocks")  # the last line is the bound's
    if config.critic == "optimal":
        critic = _optimal(r)
        log.selected_by("nothing to select")
    else:
        critic = _train_critic(config, r, seed, checkpoint, log)
    bound = _bound(config, critic, r, generator(seed, "evaluation"))
    log(config.steps // EPOCH_STEPS, bound=bound)
    return {
        "bound_nats": bound,
        "share_of_truth_percent": 100 * bound / config.truth,
        "share_of_log_n_percent": 100 * bound / math.log(config.size),
    }


def _pairs(count: int, dimensions: int, r: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, dimensions, generator=rng)
    return x, r * x + math.sqrt(1 - r * r) * torch.randn(count, dimensions, generator=rng)


def _optimal(r: float) -> Critic:
    """log p(y|x) / p(y), up to a function of x that InfoNCE does not see."""

    def scores(x: Tensor, y: Tensor) -> Tensor:
        return (r * (x @ y.T) - r * r / 2 * y.square().sum(dim=1)) / (1 - r * r)

    return scores


@torch.no_grad()
def _bound(config: Information, critic: Critic, r: float, rng: torch.Generator) -> float:
    """The bound's mean over ``config.pairs`` pairs in batches of N."""
    batches = [_pairs(config.size, config.dimensions, r, rng) for _ in range(max(config.pairs // config.size, 1))]
    values = [losses.info_nce_of_scores(critic(x, y)) for x, y in batches]
    return math.log(config.size) - float(torch.stack(values).mean())


def _train_critic(config: Information, r: float, seed: int, checkpoint: Checkpoint, log: Log) -> Critic:
    """A critic g(x) . h(y) trained by InfoNCE on fresh pairs."""
    rng = generator(seed, "weights")
    sides = nn.ModuleList(mlp(config.dimensions, config.width, CRITIC_WIDTH, rng) for _ in range(2))
    optimizer = torch.optim.Adam(sides.parameters(), lr=config.learning_rate)
    start, epochs = checkpoint.restore(sides=sides, optimizer=optimizer), config.steps // EPOCH_STEPS

    def scores(x: Tensor, y: Tensor) -> Tensor:
        return sides[0](x) @ sides[1](y).T

    step = TrainingStep(lambda x, y: losses.info_nce_of_scores(scores(x, y)), optimizer, modules=[sides])
    for epoch in range(start, epochs):
        set_cosine_rate(optimizer, config.learning_rate, epoch, epochs)
        draw = generator(seed, "order", epoch)
        for _ in range(EPOCH_STEPS):
            x, y = _pairs(config.size, config.dimensions, r, draw)
            step(x=x, y=y)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, sides=sides, optimizer=optimizer)
    return scores
