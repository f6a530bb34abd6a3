"""The negative term of DCL, HCL and BCL as an estimator of the mean over true negatives (BCL's numerical experiment).

A: anchors; N: unlabelled samples of each; M: known positives. Scores s are spread evenly over [-1/t^2, 1/t^2]; a true
negative is the lower of two draws with probability alpha, else the higher; a false negative the other way round.
"""

import torch
from torch import Tensor

from benchmarks.loss_studies.config import Estimators
from contrastbench import losses
from contrastbench.losses.bayesian import weights_by_rank
from contrastbench.losses.parts import log_debiased
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log

REGULARISER = 1e-8  # of BCL's weights, as in its MSE.py


def estimators(config: Estimators, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Bias and mean squared error of one estimator over all anchors of all experiments."""
    scores, false, positives = _draw(config, config.anchors * config.repeats, generator(seed, "scores"))
    truth = _supervised(scores, false, config.beta)
    error = ESTIMATORS[config.estimator](config, scores, positives) - truth
    mse = float(error.square().mean())
    log(0, mse=mse)
    log.selected_by("nothing to select")
    return {
        "mse": mse,
        "bias_percent": 100 * float(error.mean() / truth.mean()),
        "root_mse_percent": 100 * mse**0.5 / float(truth.mean()),
    }


def _draw(config: Estimators, anchors: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Scores [A, N], which of them are false negatives [A, N], and scores of known positives [A, M]."""
    shape = (anchors, config.negatives)
    false = torch.rand(shape, generator=rng) < config.tau_plus
    false[:, 0] = False  # a mean over true negatives needs one
    scores = _spread(config, _order_statistic(config.alpha, false, rng))
    known = torch.ones(anchors, config.positives, dtype=torch.bool)
    return scores, false, _spread(config, _order_statistic(config.alpha, known, rng))


def _order_statistic(alpha: float, high: Tensor, rng: torch.Generator) -> Tensor:
    """The lower of two uniform draws with probability alpha, else the higher; the other way round where ``high``."""
    two = torch.rand(2, *high.shape, generator=rng, dtype=torch.float64)
    as_named = torch.rand(high.shape, generator=rng) < alpha
    return torch.where(high == as_named, two.amax(dim=0), two.amin(dim=0))


def _spread(config: Estimators, uniform: Tensor) -> Tensor:
    return (2 * uniform - 1) / config.temperature**2


def _supervised(scores: Tensor, false: Tensor, beta: float) -> Tensor:
    """The hard mean of exp(score) over the true negatives: what HCL aims at; the mean for beta = 0."""
    weights = losses.hardness_weights(scores, beta, keep=~false)
    return (weights * scores.exp()).sum(dim=1) / (~false).sum(dim=1)


def _hard(config: Estimators, scores: Tensor, positives: Tensor) -> Tensor:
    """The (hard) mean over all unlabelled samples, true negatives or not."""
    return (losses.hardness_weights(scores, config.beta) * scores.exp()).mean(dim=1)


def _debiased(config: Estimators, scores: Tensor, positives: Tensor) -> Tensor:
    """HCL's estimate from unlabelled samples and known positives, both reweighted; DCL's for beta = 0."""
    hard, positive = (_hard(config, part, part).log() for part in (scores, positives))
    return log_debiased(hard, positive, config.tau_plus, -1 / config.temperature**2).exp()


def _bayesian(config: Estimators, scores: Tensor, positives: Tensor) -> Tensor:
    fractions = torch.arange(1, config.negatives + 1, dtype=torch.float64) / config.negatives
    by_rank = losses.bayesian_weights(
        fractions, tau_plus=config.tau_plus, alpha=config.alpha, beta=0.5, regulariser=REGULARISER
    )
    weights = weights_by_rank(scores, by_rank)
    return (weights * scores.exp()).sum(dim=1) / weights.sum(dim=1)


ESTIMATORS = {"biased": _hard, "dcl": _debiased, "bcl": _bayesian, "undebiased": _hard, "hcl": _debiased}
