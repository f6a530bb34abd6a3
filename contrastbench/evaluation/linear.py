"""Linear probes: the papers' (a layer trained by Adam on augmented images) and an exact one for small sets."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from contrastbench.weights import seeded_module

LOGISTIC_STEPS = 2000  # L-BFGS iterations at most; 64 standardised features need about 100


def logistic_top1_percent(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, *, strength: float = 1.0
) -> float:
    """Percent of the test set that multinomial logistic regression on standardised features gets right.

    Deterministic: a convex problem, started from zero. Means and deviations are those of ``features``.

    Args:
        features, test_features: [N, F], [Q, F].
        labels, test_labels: [N], [Q] class numbers.
        strength: scikit-learn's C, the inverse of the L2 penalty.

    Raises:
        FloatingPointError: features that are not finite, or L-BFGS did not converge.
    """
    import sklearn.exceptions
    from sklearn.linear_model import LogisticRegression

    if not (features.isfinite().all() and test_features.isfinite().all()):
        raise FloatingPointError("the encoder's features are not finite; no linear probe can be fitted")
    mean = features.double().mean(dim=0)
    deviation = features.double().std(dim=0).clamp(min=1e-6)
    scaled, test_scaled = (((part.double() - mean) / deviation).cpu().numpy() for part in (features, test_features))
    classifier = LogisticRegression(C=strength, max_iter=LOGISTIC_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", sklearn.exceptions.ConvergenceWarning)
        try:
            classifier.fit(scaled, labels.cpu().numpy())
        except sklearn.exceptions.ConvergenceWarning as error:
            raise FloatingPointError(f"logistic regression: no convergence in {LOGISTIC_STEPS} steps") from error
    return 100 * float(classifier.score(test_scaled, test_labels.cpu().numpy()))


def linear_classifier(width: int, classes: int, *, rng: torch.Generator) -> nn.Linear:
    """A linear layer with weights from ``rng``."""
    return seeded_module(lambda: nn.Linear(width, classes), rng)


def probe_epoch(
    classifier: nn.Linear, optimizer: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]]
) -> float:
    """One epoch of the papers' linear probe; returns the mean cross-entropy in nats.

    Args:
        batches: (features [B, F], labels [B]) of frozen, freshly augmented images.
    """
    total, count = torch.zeros(()), 0
    for features, labels in batches:
        loss = nn.functional.cross_entropy(classifier(features.detach().float()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, count = total + loss.detach().cpu(), count + 1
    if count == 0:
        raise ValueError("the linear probe got no batch; the batch size is larger than the training set")
    return float(total / count)


@torch.no_grad()
def linear_top1_percent(classifier: nn.Linear, features: Tensor, labels: Tensor) -> float:
    """Percent of features whose largest logit is their label's."""
    return 100 * float((classifier(features.float()).argmax(dim=1) == labels).float().mean())
