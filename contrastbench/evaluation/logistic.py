"""Many logistic regressions on the same features at once: every fold and every strength of a cross-validation.

SentEval fits 610 classifiers for one test, each from nothing. They share their features, so here they are the columns
of one matrix, and one pass over the features serves all: Newton's method, its system solved by conjugate gradients.
Features are turned to their principal axes first, where the system is nearly diagonal; the solution is the same,
turned. Each fold starts from the solution of all items, which is near its own.

Dimensions: N items, F features, K problems.
"""

import torch
from torch import Tensor

TOLERANCE = 1e-4  # of the mean gradient per item, as scikit-learn's
CAREFUL_STEPS = 100
QUICK_STEPS = 15
CG_STEPS = 40
CG_RELATIVE = 0.1  # how far the residual falls before a Newton step is taken


def rotate_features(features: Tensor) -> Tensor:
    """Features [N, F] centred and turned to their principal axes: distances, and so all fits, stay as they were."""
    if not features.isfinite().all():
        raise FloatingPointError("the features are not finite; no classifier can be fitted")
    centred = features.double() - features.double().mean(dim=0)
    if len(centred) < centred.shape[1]:  # there are no more directions than items
        squares, axes = torch.linalg.eigh(centred @ centred.T)
        return (axes * squares.clamp_min(0).sqrt()).to(features.dtype)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors
    return (centred @ axes).to(features.dtype)


def logistic_scores(x: Tensor, targets: Tensor, rows: Tensor, strengths: Tensor) -> Tensor:
    """The scores w . x + b that K fitted two-class problems give every item: [N, K].

        min_w  C_k * sum_{i in rows k} log(1 + exp(-y_i (w . x_i + b)))  +  |w|^2 / 2

    Args:
        x: [N, F] features from ``turned``.
        targets: [N] boolean, the positive class.
        rows: [N, K] boolean, the items that each problem is fitted to.
        strengths: [K], scikit-learn's C.

    Raises:
        FloatingPointError: no convergence.
    """
    x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    y = targets.to(x.dtype)[:, None]
    different, parent = strengths.unique(return_inverse=True)
    everything = rows.any(dim=1, keepdim=True).expand(-1, len(different))
    start = _fit(x, y, everything, different, x.new_zeros(x.shape[1], len(different)), careful=True)
    return x @ _fit(x, y, rows, strengths, start[:, parent], careful=False)


def _fit(x: Tensor, y: Tensor, rows: Tensor, strengths: Tensor, start: Tensor, *, careful: bool) -> Tensor:
    """Weights [F + 1, K], the bias last and without penalty; whatever does not converge quickly is done carefully."""
    weights, squares = start.clone(), x * x
    limit = TOLERANCE * rows.sum(dim=0) * strengths
    active = torch.arange(weights.shape[1], device=x.device)
    for _ in range(CAREFUL_STEPS if careful else QUICK_STEPS):
        used = rows[:, active] * strengths[active].to(x.dtype)
        w = weights[:, active]
        chance = torch.sigmoid(x @ w)
        gradient = x.T @ ((chance - y) * used)
        gradient[:-1] += w[:-1]
        going = gradient.abs().amax(dim=0) > limit[active]
        active = active[going]
        if len(active) == 0:
            return weights
        curvature = chance.mul_(1 - chance).mul_(used)[:, going]
        step = _conjugate_gradients(x, squares, curvature, gradient[:, going])
        if careful:
            step = _damp(x, y, used[:, going], w[:, going], step)
        weights[:, active] -= step
    if careful:
        raise FloatingPointError(f"logistic regression: {len(active)} fits did not converge in {CAREFUL_STEPS} steps")
    again = _fit(x, y, rows[:, active], strengths[active], torch.zeros_like(weights[:, active]), careful=True)
    return weights.index_copy(1, active, again)


def _conjugate_gradients(x: Tensor, squares: Tensor, curvature: Tensor, gradient: Tensor) -> Tensor:
    """Solves (x^T diag(curvature_k) x + penalty) d_k = gradient_k for each column, to a tenth of the gradient."""
    penalty = x.new_ones(x.shape[1], 1)
    penalty[-1] = 0
    diagonal = squares.T @ curvature + penalty + 1e-12
    step, residual = torch.zeros_like(gradient), gradient.clone()
    direction = residual / diagonal
    product = (residual * direction).sum(dim=0)
    enough = CG_RELATIVE**2 * gradient.square().sum(dim=0)
    for _ in range(CG_STEPS):
        curved = x.T @ (curvature * (x @ direction)) + penalty * direction
        length = product / (direction * curved).sum(dim=0).clamp_min(1e-30)
        length[residual.square().sum(dim=0) <= enough] = 0  # these are there already
        step += length * direction
        residual -= length * curved
        if (residual.square().sum(dim=0) <= enough).all():
            break
        scaled = residual / diagonal
        following = (residual * scaled).sum(dim=0)
        direction = scaled + (following / product.clamp_min(1e-30)) * direction
        product = following
    return step


def _damp(x: Tensor, y: Tensor, used: Tensor, w: Tensor, step: Tensor) -> Tensor:
    """The step, halved for the problems whose objective it would raise."""
    before = _objective(x, y, used, w)
    for _ in range(20):
        worse = _objective(x, y, used, w - step) > before * (1 + 1e-6)
        if not worse.any():
            break
        step = torch.where(worse, step / 2, step)
    return step


def _objective(x: Tensor, y: Tensor, used: Tensor, w: Tensor) -> Tensor:
    scores = x @ w
    losses = torch.nn.functional.softplus(torch.where(y > 0, -scores, scores)) * used
    return losses.double().sum(dim=0) + w[:-1].double().square().sum(dim=0) / 2
