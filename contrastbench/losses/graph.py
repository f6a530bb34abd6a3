"""Losses of whole graphs: InfoGraph's, HCL's with hard negatives, and GraphCL's.

The first three take discriminator scores T(node, graph). Nodes that occur several times may be given once, with a
count, and rows of scores may be shared: pair p scores node ``node[p]`` and stands for ``count[p]`` nodes of graph
``own[p]``.

Dimensions: U rows of scores, G graphs, P pairs; N = count.sum() nodes in all.
"""

import math

import torch
from torch import Tensor

from contrastbench.losses.parts import (
    MOST,
    check_pair,
    check_positive,
    check_range,
    check_rows,
    cosines,
    full_precision,
    hardness_weights,
    without_autocast,
)

LOG_2 = math.log(2.0)
LEAST_SCORE = 1e-15  # hardness is relative to the largest score: below this one its gradient would overflow float32


def jsd(scores: Tensor, own: Tensor, *, node: Tensor | None = None, count: Tensor | None = None) -> Tensor:
    """InfoGraph's Jensen-Shannon loss: each node must score its own graph high and the other graphs low.

        L = mean_i sp(-T(i, own(i))) + mean_i mean_{g != own(i)} sp(T(i, g)) - 2 log 2,     sp(x) = log(1 + exp(x))

    Args:
        scores: T, [U, G], any real numbers.
        own: [P] the graph that each pair's node belongs to.
        node: [P] each pair's row of scores; None where there is one pair per row, in order.
        count: [P] nodes that each pair stands for; None counts every pair once.

    Returns:
        Scalar, mean over the nodes, in nats; 0 where every score is 0.

    Raises:
        ValueError: fewer than 2 graphs: there are no negatives.

    Source: Sun et al. 2020, arXiv:1908.01000, eq. 4; authors' losses.py (local_global_loss_, measure JSD).
    """
    scores, node, count = _check_scores(scores, own, node, count)
    nodes, graphs = count.sum(), scores.shape[1]
    positive = scores[node, own]
    per_row = torch.zeros(len(scores), dtype=scores.dtype, device=scores.device).index_add_(0, node, count)
    with without_autocast(scores):
        all_graphs = per_row @ softplus(scores).sum(dim=1)
        negative = (all_graphs - count @ softplus(positive)) / (nodes * (graphs - 1))
        return count @ softplus(-positive) / nodes + negative - 2 * LOG_2


def hard_jsd(
    scores: Tensor,
    own: Tensor,
    *,
    beta: float,
    tau_plus: float = 0.0,
    node: Tensor | None = None,
    count: Tensor | None = None,
) -> Tensor:
    """InfoGraph's loss with hard negatives, as the HCL paper defines them.

        L = mean_i sp(-T(i, own(i))) - 2 log 2
            + mean_i max(0, mean_{g != own(i)} w(i, g) sp(T(i, g)) - tau_plus sp(T(i, own(i)))) / (1 - tau_plus)

        w(i, g) = exp(beta h(i, g)) / mean_{k != own(i)} exp(beta h(i, k)),     h = 2 T / max |T| over all negatives

    With beta = 0 and tau_plus = 0 it is ``jsd``. A negative beta prefers easy negatives. The floor 0 is the least value
    that a mean of sp can have, as exp(-1/t) is in the paper's loss for images; without it and with tau_plus = 1/2 the
    two terms in the positive score are together -T, and training runs away (to -7e8 within 13 epochs of IMDB-BINARY).

    Args:
        scores, own, node, count: as in ``jsd``.
        beta: hardness, at most a million either way.
        tau_plus: probability that a negative graph is a positive in truth, in [0, 1).

    Returns:
        Scalar, mean over the nodes, in nats.

    Source: Robinson et al. 2021, arXiv:2010.04592, sections 3 and 5.2, and Fig. 14 as quoted in the authors' issue 11
    (the normaliser 2 T / max |T|). Weights are not detached, as in the authors' code.
    """
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    check_range("beta", beta, -MOST, MOST)
    scores, node, count = _check_scores(scores, own, node, count)
    positive, surprise = scores[node, own], softplus(scores)[node]
    negatives = scores[node].scatter_(1, own[:, None], 0.0)
    hardness = _hardness(negatives, scores, node)
    # The same weights as parts.hardness_weights(hardness, beta, keep=own excluded), in a third of the time.
    weights = torch.softmax((beta * hardness).scatter_(1, own[:, None], -math.inf), dim=1)
    negative = (weights * surprise).sum(dim=1)
    left_over = (negative - tau_plus * softplus(positive)).clamp_min(0.0) / (1 - tau_plus)
    with without_autocast(scores):
        return count @ (softplus(-positive) + left_over) / count.sum() - 2 * LOG_2


def hard_jsd_as_code(
    scores: Tensor,
    own: Tensor,
    *,
    beta: float,
    tau_plus: float = 0.5,
    node: Tensor | None = None,
    count: Tensor | None = None,
) -> Tensor:
    """The same loss as HCL's released code computes it, with all that differs from the paper.

        q(i, g) = T(i, g) for g != own(i), else 0;     p(i, g) = T(i, g) for g = own(i), else 0
        L = 1 / (N (G - 1)) sum_{i, g} [ r(i, g) sp(q(i, g)) / (1 - tau_plus) - log 2 ]
            - 1 / N sum_{i, g} [ log 2 - sp(-p(i, g)) - tau_plus / (1 - tau_plus) sp(p(i, g)) ]

        r(i, g) = exp(beta h) / mean_{all k} exp(beta h(i, k)),     h = -2 q / max(max q, |min q|)

    The sign of h prefers easy negatives; the debiasing term is added to the loss; scores are masked with zeros before
    the softplus, so that masked entries count; the mean that normalises r runs over them too; and with beta = 0 the
    first bracket is (sp(q) - log 2) / (1 - tau_plus). tau_plus is 0.5 in the authors' code.

    Args, returns: as in ``hard_jsd``; the value is offset by constants.

    Source: joshr17/HCL graph/losses.py and graph/cortex_DIM/functions/gan_losses.py (JSD_hard) at commit 7b4647f.
    """
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    check_range("beta", beta, -MOST, MOST)
    scores, node, count = _check_scores(scores, own, node, count)
    nodes, graphs = count.sum(), scores.shape[1]
    positive = scores[node, own]
    surprise = softplus(scores)[node].scatter_(1, own[:, None], LOG_2)
    if beta == 0:
        per_pair = (surprise.sum(dim=1) - graphs * LOG_2) / (1 - tau_plus)
    else:
        negatives = scores[node].scatter_(1, own[:, None], 0.0)
        weights = hardness_weights(-_hardness(negatives, scores, node), beta, dim=1)
        per_pair = (weights * surprise).sum(dim=1) / (1 - tau_plus) - graphs * LOG_2
    ratio = tau_plus / (1 - tau_plus)
    masked = (graphs - 1) * ratio * LOG_2  # G - 1 zeros a row: log 2 - sp(0) - ratio * sp(0)
    per_positive = softplus(-positive) + ratio * softplus(positive) - LOG_2 + masked
    with without_autocast(scores):
        return count @ per_pair / (nodes * (graphs - 1)) + count @ per_positive / nodes


def graphcl(z_a: Tensor, z_b: Tensor, *, temperature: float = 0.2) -> Tensor:
    """GraphCL's loss: each graph's view must be nearer to its own other view than to those of other graphs.

        L = mean_i [ -s(i, i) / t + log sum_{k != i} exp(s(i, k) / t) ]

    ``s(i, k)`` is the cosine of z_a's row i and z_b's row k. The positive is not in the denominator (as in the paper's
    eq. 3 and in the code; with it, this is ``info_nce``), so that the loss has no lower bound of 0.

    Args:
        z_a, z_b: [G, D] embeddings of two views, any norm; row i of each is graph i.
        temperature: t > 0.

    Returns:
        Scalar, mean over z_a's rows, in nats.

    Source: You et al. 2020, arXiv:2010.13902, eq. 3; Shen-Lab/GraphCL unsupervised_TU/gsimclr.py (loss_cal).
    """
    check_positive("temperature", temperature)
    check_pair(z_a, z_b)
    scores = cosines(z_a, z_b) / temperature
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    return (scores.masked_fill(own, -math.inf).logsumexp(dim=1) - scores.diagonal()).mean()


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))`` for any x, within 1.2e-7 in float32; its gradient, sigmoid(x), is exact.

    torch's own goes through log1p and takes four times as long on a CPU, for digits that no sum over nodes keeps.
    """
    return _Softplus.apply(x)


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.abs().neg_().exp_().add_(1.0).log_().add_(x.clamp_min(0.0))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x.sigmoid() * gradient


def _hardness(negatives: Tensor, scores: Tensor, node: Tensor) -> Tensor:
    """``2 T / max |T|`` over the negatives, with the gradient of the largest.

    It is found without a gradient and then read as one entry. Its place stays on the device as a tensor: to know it as
    a number would be a wait.
    """
    graphs = negatives.shape[1]
    with torch.no_grad():
        place = negatives.abs().flatten().argmax(dim=0, keepdim=True)
        row, graph = place // graphs, place % graphs
        place = node.index_select(0, row) * graphs + graph
    largest = scores.flatten().index_select(0, place).squeeze(0).abs()
    scale = (largest.detach() / MOST).clamp_min(1.0)  # larger scores times their gradients would overflow float32
    return (negatives / scale) * (2 / (largest / scale).clamp_min(LEAST_SCORE))


def _check_scores(
    scores: Tensor, own: Tensor, node: Tensor | None, count: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and counts in full precision, and the row of scores of each pair."""
    check_rows("scores", scores)
    if scores.shape[1] < 2:
        raise ValueError("a batch of one graph has no negatives; at least 2 graphs are needed")
    scores = full_precision(scores)
    node = torch.arange(len(own), device=scores.device) if node is None else node
    count = torch.ones(len(own), dtype=scores.dtype, device=scores.device) if count is None else count.to(scores.dtype)
    if not (len(node) == len(own) == len(count)):
        raise ValueError(f"own, node and count must have one length, got {len(own)}, {len(node)} and {len(count)}")
    return scores, node, count
