"""Noise-contrastive estimation, binary (Gutmann and Hyvarinen) and categorical (InfoNCE: CPC, MoCo), hard negatives for
any scores, and clusters' centres as further candidates (ProtoNCE)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from contrastbench.losses.parts import (
    LEAST,
    MOST,
    check_pair,
    check_positive,
    check_range,
    check_rows,
    dot_products,
    full_precision,
    hardness_weights,
    log_debiased,
    row_dots,
    unit,
    without_autocast,
)


def nce(data_scores: Tensor, data_log_noise: Tensor, noise_scores: Tensor, noise_log_noise: Tensor) -> Tensor:
    """NCE: tell each datum from k samples of known noise; the model's log probability is learned as a free score.

        G(x) = score(x) - log(k * p_noise(x))
        L    = mean_i [ -log sigmoid(G(x_i)) - sum_{j <= k} log sigmoid(-G(y_ij)) ]

    The scores are unnormalised log probabilities; at the optimum they are normalised by themselves.

    Args:
        data_scores: [B] scores of the data.
        data_log_noise: [B] log p_noise of the data.
        noise_scores: [B, k] scores of k noise samples for each datum.
        noise_log_noise: [B, k] log p_noise of those samples.

    Returns:
        Scalar, mean over the data, in nats.

    Source: Gutmann and Hyvarinen 2010, eq. 2-3; Mnih and Teh 2012, arXiv:1206.6426, eq. 8, for k samples a datum.
    """
    shapes = f"{list(data_scores.shape)} and {list(noise_scores.shape)}"
    if (
        data_scores.ndim != 1
        or noise_scores.ndim != 2
        or len(noise_scores) != len(data_scores)
        or not noise_scores.numel()
    ):
        raise ValueError(f"data_scores must be [B] and noise_scores [B, k] with B and k at least 1, got {shapes}")
    log_k = math.log(noise_scores.shape[1])
    data = full_precision(data_scores) - data_log_noise - log_k
    noise = full_precision(noise_scores) - noise_log_noise - log_k
    return -(logsigmoid(data) + logsigmoid(-noise).sum(dim=1)).mean()


def info_nce_of_scores(scores: Tensor) -> Tensor:
    """InfoNCE for any critic: the positive, in column i of row i, must win among the row's N entries.

        L = mean_i [ -f(i, i) + log sum_j exp(f(i, j)) ],     log N - L is a lower bound of the mutual information

    Args:
        scores: f, [B, N], any real numbers, N >= B; the positives are on the diagonal.

    Returns:
        Scalar, mean over the rows, in nats.

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4 and 5.
    """
    check_rows("scores", scores)
    if scores.shape[1] < scores.shape[0]:
        raise ValueError(f"scores must be [B, N] with N >= B, got {list(scores.shape)}")
    return cross_entropy(full_precision(scores), torch.arange(len(scores), device=scores.device))


def info_nce(query: Tensor, key: Tensor, negatives: Tensor | None = None, *, temperature: float) -> Tensor:
    """InfoNCE of cosines: each query must pick its key among the keys of the batch, or among its own negatives.

        L = mean_i [ -s(i, i+)/t + log sum_{k in {i+} and negatives} exp(s(i, k)/t) ]

    Args:
        query, key: [B, D] embeddings, any norm; row i of each is item i.
        negatives: None for the other keys of the batch; [K, D] shared by all queries; [B, K, D] each query's own.
        temperature: t > 0.

    Returns:
        Scalar, mean over the queries, in nats. One direction only: keys do not search queries.

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4.
    """
    check_pair(query, key, ("query", "key"), at_least=1 if negatives is not None else 2)
    check_positive("temperature", temperature)
    q, k = unit(query), unit(key)
    if negatives is None:
        return info_nce_of_scores(dot_products(q / temperature, k))
    q = q / temperature
    return _first_wins(row_dots(q, k), _scores_of_each(q, unit(negatives)))


def infonce_queue(
    query: Tensor, key: Tensor, queue: Tensor, *, temperature: float, synthetic: Tensor | None = None
) -> Tensor:
    """MoCo's InfoNCE: the key among a queue of past keys. Gradients reach the query alone.

        L = mean_i [ -s(i, i+)/t + log( exp(s(i, i+)/t) + sum_{n in queue} exp(s(i, n)/t) + the same for synthetic ) ]

    Args:
        query: [B, D] embeddings, any norm.
        key: [B, D] the momentum encoder's embeddings of the same items; detached here.
        queue: [K, D] past keys; detached here.
        temperature: t > 0; 0.07 in MoCo v1, 0.2 in v2.
        synthetic: [B, S, D] further negatives of each query, e.g. from :func:`contrastbench.losses.mochi`.

    Returns:
        Scalar, mean over the queries, in nats.

    Source: He et al. 2020, arXiv:1911.05722, eq. 1.
    """
    check_pair(query, key, ("query", "key"), at_least=1)
    check_rows("queue", queue)
    check_positive("temperature", temperature)
    q, k = unit(query) / temperature, unit(key.detach())
    scores = dot_products(q, unit(queue.detach()))
    if synthetic is not None:
        scores = torch.cat([scores, _scores_of_each(q, unit(synthetic.detach()))], dim=1)
    return _first_wins(row_dots(q, k), scores)


def hard_info_nce(
    positive: Tensor,
    negatives: Tensor,
    *,
    tau_plus: float,
    beta: float,
    log_floor: float = -math.inf,
    keep: Tensor | None = None,
) -> Tensor:
    """HCL's loss for any scores: sentences by dot product, queues, memory banks.

        w_ij = exp(beta f_ij) / mean_k exp(beta f_ik)
        Ng_i = N * max( (mean_j w_ij exp(f_ij) - tau_plus * exp(f_i+)) / (1 - tau_plus), exp(log_floor) )
        L    = mean_i -log( exp(f_i+) / (exp(f_i+) + Ng_i) )

    Args:
        positive: [B] scores f of the positives; cosines are to be divided by their temperature first.
        negatives: [B, N] scores of the negatives.
        tau_plus: probability that a negative is of the anchor's class, in [0, 1).
        beta: hardness >= 0; 0 is the debiased loss.
        log_floor: the least possible score, -1/t for cosines. Unbounded scores have none.
        keep: [B, N] boolean, which entries are negatives, at least one a row (checked on a CPU); None for all. N is
            their number.

    Returns:
        Scalar, mean over the rows, in nats.

    Source: Robinson et al. 2021, arXiv:2010.04592, eq. 4.
    """
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    check_range("beta", beta, 0, MOST)
    if negatives.ndim != 2 or positive.shape != negatives.shape[:1]:
        raise ValueError(f"positive must be [B], negatives [B, N]; got {list(positive.shape)}, {list(negatives.shape)}")
    positive, negatives = full_precision(positive), full_precision(negatives)
    keep = torch.ones_like(negatives, dtype=torch.bool) if keep is None else keep
    if keep.device.type == "cpu" and not keep.any(dim=1).all():  # elsewhere the question would be a wait
        raise ValueError("keep must leave every row a negative, got a row without any")
    counts = keep.sum(dim=1).to(negatives.dtype)
    weights = hardness_weights(negatives, beta, keep=keep)
    negatives = negatives.masked_fill(~keep, -math.inf)
    top = negatives.detach().amax(dim=1, keepdim=True)
    total = (weights * (negatives - top).exp()).sum(dim=1)
    log_mean = (total / counts).log() + top.squeeze(1)
    log_sum = log_debiased(log_mean, positive, tau_plus, log_floor) + counts.log()
    return (torch.logaddexp(positive, log_sum) - positive).mean()


@dataclass(frozen=True)
class Clustering:
    """One k-means clustering of the data: prototypes [K, D], concentrations phi [K] > 0, clusters of the B queries."""

    prototypes: Tensor
    concentration: Tensor
    assigned: Tensor

    def __post_init__(self) -> None:
        check_rows("prototypes", self.prototypes)
        phi = self.concentration
        asked = phi.device.type == "cpu"  # elsewhere the question would be a wait
        if phi.shape != self.prototypes.shape[:1] or (asked and not ((phi >= LEAST) & (phi <= MOST)).all()):
            expected = f"[{len(self.prototypes)}], each in [{LEAST:g}, {MOST:g}]"
            raise ValueError(f"concentration must be {expected}, got {list(phi.shape)} from {phi.min()} to {phi.max()}")


def proto_nce(
    query: Tensor, key: Tensor, queue: Tensor, *, clusterings: Sequence[Clustering], temperature: float
) -> Tensor:
    """PCL's loss: InfoNCE against a queue, and the mean over M clusterings of finding one's own prototype.

        L = infonce_queue + 1/M sum_m mean_i [ -q_i.c_own / phi_own + log sum_j exp(q_i.c_j / phi_j) ]

    All prototypes are in the sum; the authors' code samples some of them when there are many.

    Args:
        query, key, queue, temperature: as in :func:`contrastbench.losses.infonce_queue`.
        clusterings: M >= 1 of them; their tensors get no gradient.

    Returns:
        Scalar, mean over the queries, in nats.

    Source: Li et al. 2021, arXiv:2005.04966, eq. 11.
    """
    if not clusterings:
        raise ValueError("clusterings must hold at least one clustering, got none")
    terms = [_own_prototype(query, clustering) for clustering in clusterings]
    return infonce_queue(query, key, queue, temperature=temperature) + torch.stack(terms).mean()


def concentrations(
    z: Tensor, prototypes: Tensor, assigned: Tensor, *, temperature: float, smooth: float = 10.0
) -> Tensor:
    """The spread phi of each cluster, scaled so that its mean is the temperature.

        phi_c = sum_{i in c} |u_i - c| / (n_c * log(n_c + smooth)),   then phi <- temperature * phi / mean(phi)

    Args:
        z: [R, D] embeddings of all data, any norm; prototypes: [K, D]; assigned: [R] cluster numbers.
        temperature, smooth: > 0. A cluster of fewer than 2 members gets the largest phi of all.

    Source: Li et al. 2021, arXiv:2005.04966, eq. 12 (smooth is its alpha).
    """
    check_positive("temperature", temperature)
    check_positive("smooth", smooth)
    u, centres = unit(z.detach()), unit(prototypes.detach())
    sizes = torch.bincount(assigned, minlength=len(centres)).to(u.dtype)
    distance = torch.linalg.vector_norm(u - centres[assigned], dim=1)
    phi = u.new_zeros(len(centres)).index_add_(0, assigned, distance) / (sizes * (sizes + smooth).log()).clamp_min(1)
    phi = torch.where(sizes < 2, phi.max(), phi)
    if not phi.min() > 0:
        raise ValueError("every cluster of 2 or more members must have some spread, got a cluster of equal embeddings")
    return temperature * phi / phi.mean()


def _own_prototype(query: Tensor, clustering: Clustering) -> Tensor:
    scores = dot_products(unit(query), unit(clustering.prototypes.detach())) / clustering.concentration.detach()
    return cross_entropy(scores, clustering.assigned)


def _scores_of_each(q: Tensor, candidates: Tensor) -> Tensor:
    """Dot products of each query with shared candidates [K, D] or with its own [B, K, D]: [B, K]."""
    if candidates.ndim == 2:
        return dot_products(q, candidates)
    if candidates.ndim != 3 or candidates.shape[0] != len(q):
        raise ValueError(f"negatives must be [K, D] or [{len(q)}, K, D], got {list(candidates.shape)}")
    with without_autocast(q):
        return torch.bmm(candidates, q[:, :, None]).squeeze(2)


def _first_wins(positive: Tensor, negatives: Tensor) -> Tensor:
    """``mean_i -log( exp(positive_i) / (exp(positive_i) + sum_j exp(negatives_ij)) )``."""
    scores = torch.cat([positive[:, None], negatives], dim=1)
    return cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))
