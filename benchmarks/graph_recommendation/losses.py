"""The losses of a step, each a function of embeddings.

Dimensions: B pairs of a batch, n nodes, N rivals, D width, K centres.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, softplus

from benchmarks.graph_recommendation.config import Train
from contrastbench import losses
from contrastbench.losses.bayesian import bayesian_weights, weights_by_rank
from contrastbench.losses.parts import row_dots, unit

ENTRIES = 2**20  # of the matrix of scores at a time: 4 MB, which fit into a core's cache


def bpr(user: Tensor, item: Tensor, negative: Tensor) -> Tensor:
    """mean softplus(z_u.z_j - z_u.z_i)."""
    return softplus(row_dots(user, negative - item)).mean()


def penalty(config: Train, ego: Tensor, nodes: Tensor, final_rows: Tensor) -> Tensor:
    """The L2 term. ``nodes`` [3B] are the users, items and negatives, ``final_rows`` [3B, D] what became of them.

    ego: reg/2 sum of squares of E_0's rows / B.    all: reg times the squares of all weights (SSLRec).
    ego_norms: reg (|users| + |items| + |negatives|) / B, not squared (RecBole).
    final_norms: reg (|users| + |items|) / B of the final rows (SELFRec's SimGCL and XSimGCL).
    """
    count = len(nodes) // 3
    if config.penalty == "all":
        return config.reg * ego.square().sum()
    if config.penalty == "ego":  # a row as often as it is in the batch
        return config.reg / 2 / count * torch.dot(occurrences(nodes, ego), torch.linalg.vecdot(ego, ego))
    parts = embedding(nodes, ego).chunk(3) if config.penalty == "ego_norms" else final_rows.chunk(3)[:2]
    return config.reg / count * torch.stack([torch.linalg.vector_norm(part) for part in parts]).sum()


def occurrences(numbers: Tensor, of: Tensor) -> Tensor:
    """[N]: how often each row number of the matrix ``of`` [N, D] is among the ``numbers``."""
    return of.new_zeros(len(of)).index_add_(0, numbers, of.new_ones(len(numbers)))


def in_batch(config: Train, query: Tensor, key: Tensor) -> Tensor:
    """InfoNCE, DCL, HCL or BCL: row i of ``query`` must find row i of ``key`` [n, D] among all rows."""
    if config.contrast == "info_nce":
        return nce(query, key, key, query.new_full((len(query),), 1 / len(query)), config.temperature)
    scores = (unit(query) / config.temperature) @ unit(key).T
    if config.contrast == "bcl":
        return bayesian(config, scores)
    return losses.hard_info_nce(
        scores.diagonal(),
        scores,
        tau_plus=config.tau_plus,
        beta=config.beta if config.contrast == "hcl" else 0.0,
        log_floor=-1 / config.temperature,
        keep=~torch.eye(len(query), dtype=torch.bool, device=scores.device),
    )


def prototype(config: Train, own: Tensor, rows: Tensor, inputs: dict[str, Tensor], side: str) -> Tensor:
    """NCL-rec's other loss: a node's E_0 must find the centre of its cluster, among all centres or the batch's.

    Args:
        own: E_0 of one side, [N, D].
        rows: int64 [B], the side's nodes of the batch; each as often as it occurs.
        inputs: of the side the nodes once and their shares, the centres [K, D], the centres' temperatures [K], and each
            node's cluster [N].
    """
    centres, cluster = inputs[f"{side}_centres"], inputs[f"{side}_cluster"]
    nodes, shares = inputs[f"{side}_once"], inputs[f"{side}_share"]
    theirs = cluster[nodes]
    if config.prototypes == "batch":  # a centre that occurs k times is one rival, with log k beside its score
        times = occurrences(cluster[rows], centres)
        return nce(own[nodes], centres[theirs], centres, shares, config.temperature, bias=times.log())
    return nce(own[nodes], centres[theirs], centres, shares, inputs[f"{side}_temperature"], theirs)


def bayesian(config: Train, scores: Tensor) -> Tensor:
    """BCL over scores [n, n] with the positives on the diagonal, as :func:`contrastbench.losses.bcl` of two views."""
    count = len(scores) - 1
    fractions = torch.arange(1, count + 1, dtype=torch.float64, device=scores.device) / count
    by_rank = bayesian_weights(fractions, tau_plus=config.tau_plus, alpha=config.alpha, beta=config.beta)
    by_rank = torch.nn.functional.pad(by_rank, (1, 0)).to(scores.dtype)  # the positive, at -inf, weighs 0
    positive = scores.diagonal()
    negatives = scores.masked_fill(torch.eye(len(scores), dtype=torch.bool, device=scores.device), -torch.inf)
    log_sum = (negatives + weights_by_rank(negatives.detach(), by_rank).log()).logsumexp(dim=1)
    return (torch.logaddexp(positive, log_sum) - positive).mean()


def nce(
    query: Tensor,
    key: Tensor,
    rivals: Tensor,
    shares: Tensor,
    temperature: float | Tensor,
    own: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """sum_i share_i ( -cos(q_i, k_i) / t_i + log sum_{j of rivals} exp(cos(q_i, r_j) / t_j + bias_j) ).

    Args:
        query, key: [n, D], any norm; rivals: [N, D], the keys among them.
        shares: [n].
        temperature: t; or [N], of each rival (PCL's concentrations), and then ``own`` [n] says which rival is the key.
        bias: [N], 0 if not given; a rival with log k counts k times.
    """
    q, r = unit(query), unit(rivals)
    own_temperature = temperature[own] if isinstance(temperature, Tensor) else temperature
    scale = temperature[:, None] if isinstance(temperature, Tensor) else temperature
    positive = (shares * row_dots(q, unit(key)) / own_temperature).sum()
    return _LogSums.apply(q, r / scale, shares, bias) - positive


class _LogSums(torch.autograd.Function):
    """sum_i share_i log sum_j exp(q_i . r_j + bias_j), some rows at a time, each in the memory of the one before.

    A block's part of the gradient is made while its scores are there; that of ``r`` only where it is asked for.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, r: Tensor, shares: Tensor, bias: Tensor | None) -> Tensor:
        rows = min(len(q), max(1, ENTRIES // len(r))) if q.device.type == "cpu" else len(q)
        memory, total = q.new_empty(rows, len(r)), q.new_zeros(())
        to_q, to_r = torch.empty_like(q), torch.zeros_like(r) if ctx.needs_input_grad[1] else None
        for start in range(0, len(q), rows):
            part = slice(start, start + rows)
            scores = memory[: len(q[part])]
            if bias is None:
                torch.mm(q[part], r.T, out=scores)
            else:
                torch.addmm(bias, q[part], r.T, out=scores)
            top = scores.amax(dim=1, keepdim=True)
            weights = scores.sub_(top).exp_()
            sums = weights.sum(dim=1, keepdim=True)
            total += (shares[part] * (top + sums.log()).squeeze(1)).sum()
            weights.mul_(shares[part, None] / sums)
            torch.mm(weights, r, out=to_q[part])
            if to_r is not None:
                to_r.addmm_(weights.T, q[part])
        ctx.save_for_backward(to_q, to_r)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        to_q, to_r = ctx.saved_tensors
        return to_q * upstream, None if to_r is None else to_r * upstream, None, None


def hardest_in_batch(user: Tensor, item: Tensor, allowed: Tensor) -> Tensor:
    """int64 [B]: for each user the batch's item of highest cosine among the allowed ones [B, B]."""
    return (unit(user) @ unit(item).T).masked_fill(~allowed, -torch.inf).argmax(dim=1)
