"""BCL: negatives weighed by how likely each is to be a true and a hard one, given its rank among the scores."""

import math

import numpy as np
import torch
from torch import Tensor

from contrastbench.losses.parts import check_pair, check_positive, check_range, full_precision
from contrastbench.losses.two_views import log_mean_negatives, loss_in_blocks, pick_positive, views

SORTED_ENTRIES = 2**18  # at a time: 2 MB of 64-bit numbers stay in a core's cache
WHOLE_MATRIX_VIEWS = 2048  # beyond 1,024 items rows are done in blocks, which is faster too: they stay in the cache
REGULARISER = 1e-3  # added twice by the authors' image/main.py; their MSE.py has 1e-8


def bcl(z_a: Tensor, z_b: Tensor, *, temperature: float, tau_plus: float, alpha: float, beta: float) -> Tensor:
    """Bayesian contrastive loss: NT-Xent with each negative weighed by the posterior of being true and hard.

        u_ij = fraction of the N negatives of i that score at most s(i, j)
        L    = mean_i -log( pos_i / (pos_i + sum_j omega(u_ij) * neg_ij) )

    with omega as in :func:`bayesian_weights`. The weights depend on ranks alone, so no gradient flows through them;
    they are not normalised and there is no clamp. alpha = beta = 0.5 is nearly NT-Xent (omega = 0.998). Costs one sort
    per anchor.

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm, B >= 2; row i of each is item i.
        temperature: t > 0.
        tau_plus: probability that another item is of the anchor's class, in [0, 1).
        alpha: the encoder's AUC, P(a positive outscores a negative), in [0.5, 1].
        beta: hardness in [0.5, 1]; 0.5 only debiases.

    Returns:
        Scalar, mean over the 2B views, in nats. Once differentiable.

    Raises:
        ValueError: alpha = beta = 1, where every weight is 0 and the loss is 0 whatever the embeddings.

    Source: Liu et al. 2023, arXiv:2301.11673, eq. 15; liubin06/BCL image/main.py.
    """
    check_pair(z_a, z_b)
    check_positive("temperature", temperature)
    z_a, z_b = full_precision(z_a), full_precision(z_b)
    count = 2 * len(z_a) - 2
    fractions = torch.arange(1, count + 1, dtype=torch.float64, device=z_a.device) / count
    by_rank = bayesian_weights(fractions, tau_plus=tau_plus, alpha=alpha, beta=beta)
    by_rank = torch.nn.functional.pad(by_rank, (2, 0)).to(z_a.dtype)  # itself and its partner, at -inf, weigh 0

    def weigh(scores: Tensor) -> Tensor:
        return weights_by_rank(scores, by_rank)

    if 2 * len(z_a) > WHOLE_MATRIX_VIEWS:
        return loss_in_blocks(z_a, z_b, temperature, weigh=weigh)
    u, log_positive = views(z_a, z_b, temperature)
    return pick_positive(log_positive, log_mean_negatives(u, temperature, weigh) + math.log(count))


def bayesian_weights(
    u: Tensor, *, tau_plus: float, alpha: float, beta: float, regulariser: float = REGULARISER
) -> Tensor:
    """The weight omega of a negative whose score stands at the fraction ``u`` of its anchor's empirical distribution.

        Phi solves a Phi^2 + b Phi = u,  a = (1 - 2 alpha)(tau_minus - tau_plus) + r,
                                         b = 2 (alpha tau_minus + (1 - alpha) tau_plus)
        p_TN  = 2 alpha (1 - Phi) + 2 (1 - alpha) Phi,       p_FN = 2 (1 - alpha)(1 - Phi) + 2 alpha Phi
        p_HTN = 2 (alpha (1 - beta)(1 - Phi) + (1 - alpha) beta Phi) / (alpha (1 - beta) + (1 - alpha) beta + r)
        omega = p_HTN / (tau_minus p_TN + tau_plus p_FN)

    Args:
        u: fractions in [0, 1], any shape, floating point.
        tau_plus, alpha, beta: as in :func:`bcl`.
        regulariser: r, 1e-3 in training.

    Source: Liu et al. 2023, arXiv:2301.11673; liubin06/BCL image/main.py.
    """
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    check_range("alpha", alpha, 0.5, 1)
    check_range("beta", beta, 0.5, 1)
    if alpha == 1 and beta == 1:
        raise ValueError("alpha and beta must not both be 1, got alpha=1 and beta=1: every weight would be 0")
    tau_minus = 1 - tau_plus
    a = (1 - 2 * alpha) * (tau_minus - tau_plus) + regulariser
    b = 2 * (alpha * tau_minus + (1 - alpha) * tau_plus)
    phi = 2 * u / (b + (b * b + 4 * a * u).sqrt())  # the root in the form that does not divide by a = 0
    least, most = 2 * (1 - phi), 2 * phi
    true_negative = alpha * least + (1 - alpha) * most
    false_negative = (1 - alpha) * least + alpha * most
    hard = alpha * (1 - beta) * least + (1 - alpha) * beta * most
    hard = hard / (alpha * (1 - beta) + (1 - alpha) * beta + regulariser)
    return hard / (tau_minus * true_negative + tau_plus * false_negative)


def weights_by_rank(scores: Tensor, by_rank: Tensor) -> Tensor:
    """``by_rank[r - 1]`` for each score, r being the number of scores in its row that are at most as large.

    Exact ranks want a sort of every row, which on a CPU takes most of the loss's time.

    Args:
        scores: [rows, columns], no NaN.
        by_rank: [columns] weights, in the order of rising scores.
    """
    if scores.device.type != "cpu":
        return weights_by_search(scores, by_rank)
    weights = torch.empty_like(scores)
    rows = max(1, SORTED_ENTRIES // scores.shape[1])
    for some, into in zip(scores.split(rows), weights.split(rows), strict=True):
        _weigh_rows(some, by_rank, into)
    return weights


def _weigh_rows(scores: Tensor, by_rank: Tensor, into: Tensor) -> None:
    order, ranked = _sort_rows(scores.numpy())
    into.scatter_(1, torch.from_numpy(order), by_rank.expand_as(scores))
    row, place = (ranked[:, 1:] == ranked[:, :-1]).nonzero()  # as large as the next: all rank as the last of them
    if len(row):
        ends = np.append((np.diff(row) != 0) | (np.diff(place) != 1), True)
        last = (place[ends] + 1).repeat(np.diff(np.flatnonzero(ends), prepend=-1))
        into[row, order[row, place]] = by_rank[last]


def _sort_rows(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of each row's numbers, and numbers in that order that are equal where the scores are.

    NumPy finds an order less than half as fast as it sorts 64-bit numbers, so score and column make one such number.
    """
    if scores.dtype != np.float32:
        order = scores.argsort(axis=1)
        return order, np.take_along_axis(scores, order, axis=1)
    bits = (scores + np.float32(0)).view(np.int32)  # -0 becomes 0, which it equals
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)  # in the order of the scores
    keys <<= 32
    keys |= np.arange(scores.shape[1])
    keys.sort(axis=1)
    return keys & 0xFFFFFFFF, keys >> 32


def weights_by_search(scores: Tensor, by_rank: Tensor) -> Tensor:
    """The same as :func:`weights_by_rank`, without asking a GPU whether there are ties; slower on a CPU."""
    ranks = torch.searchsorted(scores.sort(dim=1).values, scores, right=True, out_int32=True)
    return by_rank[ranks - 1]
