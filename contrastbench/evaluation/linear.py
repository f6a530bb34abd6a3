"""Linear probes: the papers' (a layer trained by Adam on augmented images) and an exact one for small sets."""

import warnings

import torch
from torch import Tensor, nn

from contrastbench.weights import seeded_module

LOGISTIC_STEPS = 2000  # L-BFGS iterations at most; 64 standardised features need about 100
LOGISTIC_GRADIENT = 1e-6  # where L-BFGS on a GPU ends; scikit-learn's own is 1e-4


def logistic_top1_percent(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, *, strength: float = 1.0
) -> float:
    """Percent of the test set that multinomial logistic regression on standardised features gets right.

    Deterministic: a convex problem, started from zero. Means and deviations are those of ``features``. On a CPU
    scikit-learn solves it; features on a GPU stay there and are solved by :func:`logistic_weights`, whose answer is the
    more exact one: a test bounds the gap.

    Args:
        features, test_features: [N, F], [Q, F].
        labels, test_labels: [N], [Q] class numbers.
        strength: scikit-learn's C, the inverse of the L2 penalty.

    Raises:
        FloatingPointError: features that are not finite, or L-BFGS did not converge.
    """
    if not (features.isfinite().all() and test_features.isfinite().all()):
        raise FloatingPointError("the encoder's features are not finite; no linear probe can be fitted")
    mean = features.double().mean(dim=0)
    deviation = features.double().std(dim=0).clamp(min=1e-6)
    scaled, test_scaled = ((part.double() - mean) / deviation for part in (features, test_features))
    if features.device.type == "cpu":
        return _scikit_learn_top1_percent(scaled, labels, test_scaled, test_labels, strength)
    known, targets = labels.unique(return_inverse=True)
    weight, bias = logistic_weights(scaled, targets, len(known), strength=strength)
    return 100 * float((known[(test_scaled @ weight.T + bias).argmax(dim=1)] == test_labels).double().mean())


def _scikit_learn_top1_percent(
    scaled: Tensor, labels: Tensor, test_scaled: Tensor, test_labels: Tensor, strength: float
) -> float:
    import sklearn.exceptions
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(C=strength, max_iter=LOGISTIC_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", sklearn.exceptions.ConvergenceWarning)
        try:
            classifier.fit(scaled.numpy(), labels.numpy())
        except sklearn.exceptions.ConvergenceWarning as error:
            raise FloatingPointError(f"logistic regression: no convergence in {LOGISTIC_STEPS} steps") from error
    return 100 * float(classifier.score(test_scaled.numpy(), test_labels.numpy()))


def logistic_weights(scaled: Tensor, targets: Tensor, classes: int, *, strength: float) -> tuple[Tensor, Tensor]:
    """Weights [classes, F] and biases [classes] of multinomial logistic regression, by L-BFGS on the features' device.

        minimise  mean_i CE(W x_i + b, y_i) + |W|^2 / (2 C N)

    Args:
        scaled: [N, F] standardised features, float64.
        targets: [N] class numbers below ``classes``.
        strength: C.

    Raises:
        FloatingPointError: the gradient's largest part is not below ``LOGISTIC_GRADIENT`` after all steps.
    """
    weight = scaled.new_zeros(classes, scaled.shape[1], requires_grad=True)
    bias = scaled.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=LOGISTIC_STEPS,
        tolerance_grad=LOGISTIC_GRADIENT,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(scaled @ weight.T + bias, targets)
        loss = loss + weight.square().sum() / (2 * strength * len(scaled))
        loss.backward()
        return loss

    optimizer.step(objective)
    objective()
    largest = max(float(part.grad.abs().max()) for part in (weight, bias) if part.grad is not None)
    if not largest <= LOGISTIC_GRADIENT:
        raise FloatingPointError(f"logistic regression: no convergence in {LOGISTIC_STEPS} steps (gradient {largest})")
    return weight.detach(), bias.detach()


def linear_classifier(width: int, classes: int, *, rng: torch.Generator) -> nn.Linear:
    """A linear layer with weights from ``rng``."""
    return seeded_module(lambda: nn.Linear(width, classes), rng)


def probe_loss(classifier: nn.Linear, features: Tensor, labels: Tensor) -> Tensor:
    """The papers' linear probe: mean cross-entropy in nats of frozen features [B, F] with labels [B]."""
    return nn.functional.cross_entropy(classifier(features.detach().float()), labels)


@torch.no_grad()
def linear_top1_percent(classifier: nn.Linear, features: Tensor, labels: Tensor) -> float:
    """Percent of features whose largest logit is their label's."""
    return 100 * float((classifier(features.float()).argmax(dim=1) == labels).float().mean())
