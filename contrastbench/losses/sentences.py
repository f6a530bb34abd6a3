"""Losses of sentence embeddings: Quick-Thoughts, and SimCSE with labelled contradictions."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrastbench.losses.nce import hard_info_nce
from contrastbench.losses.parts import check_pair, check_positive, dot_products, unit

LOWEST = -1e30  # a score whose exponential is 0; -inf times a target of 0 would be NaN


def quick_thoughts(f: Tensor, g: Tensor, *, context: int = 1, itself: bool = True) -> Tensor:
    """Quick-Thoughts: a sentence must pick its neighbours in the text among the sentences of the batch.

        S = f g^T, with 0 on the diagonal;   L = mean_i -1/|C(i)| sum_{j in C(i)} log softmax(S_i)_j

    C(i) are the sentences at most ``context`` away. Dot products, neither normalised nor divided by a temperature. The
    authors' code sets the diagonal to 0, not to -inf: the sentence itself stays in the sum as exp(0). The paper leaves
    it out.

    Args:
        f, g: [B, D] embeddings of B consecutive sentences by the two encoders.
        context: >= 1 and < B.
        itself: True keeps the sentence itself in the sum, as the code; False leaves it out, as the paper.

    Returns:
        Scalar, mean over the sentences, in nats.

    Source: Logeswaran and Lee 2018, arXiv:1803.02893, eq. 2; lajanugen/S2V s2v_model.py.
    """
    scores, neighbour = _text_scores(f, g, context)
    targets = neighbour.to(scores.dtype)
    targets /= targets.sum(dim=1, keepdim=True)
    return cross_entropy(scores.fill_diagonal_(0 if itself else LOWEST), targets)


def hard_quick_thoughts(f: Tensor, g: Tensor, *, tau_plus: float, beta: float) -> Tensor:
    """Quick-Thoughts with HCL's negative term; beta = 0 is the debiased form.

    Each (sentence, next or previous sentence) is a positive pair of :func:`contrastbench.losses.hard_info_nce`; its
    negatives are the sentences of the batch that are neither neighbours nor itself. Dot products have no least value,
    so there is no floor but 0. The HCL and DCL papers report this on BookCorpus without giving the floor or code.

    Args:
        f, g: [B, D] embeddings of B >= 4 consecutive sentences by the two encoders.
        tau_plus, beta: as in :func:`contrastbench.losses.hcl`.

    Returns:
        Scalar, mean over the pairs, in nats.

    Source: Robinson et al. 2021, arXiv:2010.04592, section 5.3.
    """
    scores, neighbour = _text_scores(f, g, 1)
    rows = len(scores)
    if rows < 4:
        raise ValueError(f"f and g must be of at least 4 sentences, got {rows}")
    places = torch.arange(rows, device=scores.device)
    anchor = torch.cat([places[:-1], places[1:]])  # each sentence with the next one, then with the one before
    partner = torch.cat([places[1:], places[:-1]])
    others = torch.ones_like(neighbour).fill_diagonal_(False) & ~neighbour
    return hard_info_nce(scores[anchor, partner], scores[anchor], tau_plus=tau_plus, beta=beta, keep=others[anchor])


def simcse_supervised(
    anchor: Tensor, positive: Tensor, hard_negative: Tensor, *, temperature: float = 0.05, hard_weight: float = 1.0
) -> Tensor:
    """Supervised SimCSE: find the entailed sentence among all entailed ones and all contradictions of the batch.

        L = mean_i -log( exp(s(i, i+)/t) / sum_j ( exp(s(i, j+)/t) + alpha^{[i = j]} exp(s(i, j-)/t) ) )

    Args:
        anchor, positive, hard_negative: [B, D] embeddings, any norm; row i of each belongs to premise i.
        temperature: t > 0.
        hard_weight: alpha > 0, of a premise's own contradiction. The authors' ``--hard_negative_weight`` is log alpha.

    Returns:
        Scalar, mean over the premises, in nats.

    Source: Gao et al. 2021, arXiv:2104.08821, eq. 5 and appendix (eq. 8).
    """
    check_pair(anchor, positive, ("anchor", "positive"), at_least=1)
    check_pair(anchor, hard_negative, ("anchor", "hard_negative"), at_least=1)
    check_positive("temperature", temperature)
    check_positive("hard_weight", hard_weight)
    rows = len(anchor)
    scores = dot_products(unit(anchor) / temperature, unit(torch.cat([positive, hard_negative])))
    scores.diagonal(rows).add_(math.log(hard_weight))
    return cross_entropy(scores, torch.arange(rows, device=scores.device))


def hard_simcse(
    anchor: Tensor,
    positive: Tensor,
    hard_negative: Tensor | None = None,
    *,
    temperature: float = 0.05,
    tau_plus: float,
    beta: float,
    hard_weight: float = 1.0,
) -> Tensor:
    """SimCSE with HCL's negative term, with and without contradictions; beta = 0 is the debiased form.

    The negatives of premise i are the positives of the others and all contradictions; its own contradiction counts
    ``hard_weight`` times. Mean and debiasing are those of :func:`contrastbench.losses.hard_info_nce`.

    Args:
        anchor, positive: [B, D] embeddings, any norm; row i of each belongs to sentence i.
        hard_negative: [B, D] embeddings of the contradictions, or None.
        temperature: t > 0.
        tau_plus, beta: as in :func:`contrastbench.losses.hcl`.
        hard_weight: alpha > 0.

    Returns:
        Scalar, mean over the anchors, in nats.

    Source: ours, from Gao et al. 2021, arXiv:2104.08821, eq. 5, and Robinson et al. 2021, arXiv:2010.04592, eq. 4.
    """
    check_pair(anchor, positive, ("anchor", "positive"))
    check_positive("temperature", temperature)
    check_positive("hard_weight", hard_weight)
    candidates = positive if hard_negative is None else torch.cat([positive, hard_negative])
    scores = dot_products(unit(anchor) / temperature, unit(candidates))
    keep = torch.ones_like(scores, dtype=torch.bool).fill_diagonal_(False)
    log_positive = scores.diagonal().clone()
    if hard_negative is not None:
        check_pair(anchor, hard_negative, ("anchor", "hard_negative"))
        scores.diagonal(len(anchor)).add_(math.log(hard_weight))
    return hard_info_nce(log_positive, scores, tau_plus=tau_plus, beta=beta, log_floor=-1 / temperature, keep=keep)


def _text_scores(f: Tensor, g: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """Dot products [B, B], and which sentences are at most ``context`` apart (itself not)."""
    check_pair(f, g, ("f", "g"))
    if not 1 <= context < len(f):
        raise ValueError(f"context must be in [1, {len(f) - 1}], got {context}")
    near = torch.ones(len(f), len(f), dtype=torch.bool, device=f.device).triu_(-context).tril_(context)
    return dot_products(f, g), near.fill_diagonal_(False)
