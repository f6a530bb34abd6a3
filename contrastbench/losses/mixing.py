"""Hard negatives mixed from queues: MoCHi's, and those of Neighborhood Contrastive Learning.

B: queries; D: width; M, L: lengths of queues. Draws come from a CPU generator whatever the embeddings' device: a step
that a GPU replays draws outside of it and hands the draws in.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastbench.losses.parts import check_rows, dot_products, unit

SAMPLED_COST = 100  # a dot product of two gathered rows costs about as much as this many inside a matrix product
CHUNK_NUMBERS = {"cpu": 2**18}  # gathered at a time: 1 MB stays in a core's cache
CHUNK_NUMBERS_ELSEWHERE = 2**26
SHORTEST_MIX = 1e-6  # squared: opposite ends cancel, and what is left of them has no direction


def mochi(
    query: Tensor, queue: Tensor, *, hardest: int, mixed: int, mixed_with_query: int, rng: torch.Generator
) -> Tensor:
    """Synthetic hard negatives of each query, for :func:`contrastbench.losses.infonce_queue`.

        h  = a * n_i + (1 - a) * n_j,   a ~ U(0, 1),     n_i, n_j from the query's ``hardest`` negatives
        h' = b * q   + (1 - b) * n_j,   b ~ U(0, 0.5)

    all put on the unit sphere. The negative always keeps the greater share beside the query.

    Args:
        query: [B, D] embeddings, any norm.
        queue: [K, D] negatives, any norm.
        hardest: how many of the negatives most similar to the query are mixed, in [1, K]; 1024 in the paper.
        mixed: s, pairs of negatives to mix; 1024 in the paper's best setting.
        mixed_with_query: s', negatives to mix with the query; 128 there.
        rng: a CPU generator; draws the pairs and the shares.

    Returns:
        [B, s + s', D] unit vectors, detached.

    Source: Kalantidis et al. 2020, arXiv:2010.01028, eq. 4-6.
    """
    if mixed < 0 or mixed_with_query < 0:
        raise ValueError(f"mixed and mixed_with_query must be at least 0, got {mixed} and {mixed_with_query}")
    a, b, picks = mochi_draws(len(query), hardest, mixed, mixed_with_query, rng=rng, dtype=query.dtype)
    a, b = a.to(query.device), b.to(query.device)
    return mochi_of_draws(query, queue, a, b, [pick.to(query.device) for pick in picks], hardest=hardest)


@torch.no_grad()
def mochi_of_draws(
    query: Tensor, queue: Tensor, a: Tensor, b: Tensor, picks: Sequence[Tensor], *, hardest: int
) -> Tensor:
    """:func:`mochi` with what :func:`mochi_draws` gave, on the query's device: nothing in it is random."""
    check_rows("query", query)
    check_rows("queue", queue)
    if not 1 <= hardest <= len(queue):
        raise ValueError(f"hardest must be in [1, {len(queue)}], the length of the queue, got {hardest}")
    q, n = unit(query), unit(queue)
    top = dot_products(q, n).topk(hardest, dim=1).indices
    first, second, with_query = (n[top.gather(1, pick)] for pick in picks)
    a, b = a.to(q.dtype)[..., None], b.to(q.dtype)[..., None]
    return unit(torch.cat([a * first + (1 - a) * second, b * q[:, None] + (1 - b) * with_query], dim=1))


def mochi_draws(
    rows: int, hardest: int, mixed: int, mixed_with_query: int, *, rng: torch.Generator, dtype: torch.dtype
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The shares a [B, s] and b [B, s'], and which of the hardest are mixed: [B, s], [B, s], [B, s'], on the CPU."""
    a = torch.rand(rows, mixed, generator=rng, dtype=dtype)
    b = torch.rand(rows, mixed_with_query, generator=rng, dtype=dtype) / 2
    counts = (mixed, mixed, mixed_with_query)
    first, second, third = (torch.randint(hardest, (rows, count), generator=rng) for count in counts)
    return a, b, (first, second, third)


def hard_negative_generation(
    query: Tensor, unlabelled: Tensor, labelled: Tensor, *, safe: int, rounds: int, keep: int, rng: torch.Generator
) -> Tensor:
    """Hard negatives mixed from what surely is none of the query's class: far unlabelled and labelled embeddings.

        candidates = (u + 2 l)/3 and (2 u + l)/3, on the unit sphere; the ``keep`` most similar to the query stay

    u: the ``safe`` entries of the unlabelled queue least similar to the query. l: in each round as many, drawn without
    repetition from the labelled queue, for each query anew. A loss does not need the vectors:
    :func:`hard_negative_cosines` gives their similarities in a fraction of the time.

    Args:
        query: [B, D] embeddings, any norm.
        unlabelled: [M, D] queue of novel-class embeddings; labelled: [L, D] queue of known classes.
        safe: negatives taken from each queue, in [1, min(M, L)]; 50 for CIFAR-10, 400 for CIFAR-100.
        rounds: draws from the labelled queue, 5 there; 2 * rounds * safe candidates arise.
        keep: how many stay, in [1, 2 * rounds * safe]; 400 there.
        rng: a CPU generator; draws the labelled partners.

    Returns:
        [B, keep, D] unit vectors, detached, hardest first.

    Source: Zhong et al. 2021, arXiv:2106.10731, section 3.4; zhunzhong07/NCL models/NCL.py.
    """
    _check_queues(query, unlabelled, labelled, safe, rounds, keep)
    partners = draw_partners(len(query), len(labelled), safe=safe, rounds=rounds, rng=rng).to(query.device)
    with torch.no_grad():
        u, other = unit(unlabelled), unit(labelled)
        far, cosine = _mixes(unit(query), u, other, partners)
        best = cosine.topk(keep, dim=1).indices
        pairs = rounds * safe
        share = torch.where(best < pairs, 1.0, 2.0).to(u.dtype)[:, :, None]  # of u, of 3
        pick = best % pairs
        return unit(share * u[far.gather(1, pick % safe)] + (3 - share) * other[partners.flatten(1).gather(1, pick)])


def draw_partners(queries: int, labelled: int, *, safe: int, rounds: int, rng: torch.Generator) -> Tensor:
    """For each query and round ``safe`` different places of a labelled queue of that length: int64 [B, rounds, safe].

    On the CPU. ``rng`` is a CPU generator.
    """
    return torch.rand(queries, rounds, labelled, generator=rng).topk(safe, dim=2).indices


def hard_negative_cosines(
    query: Tensor, unlabelled: Tensor, labelled: Tensor, partners: Tensor, *, keep: int, shares: Tensor | None = None
) -> Tensor:
    """Cosines of each query with its hard negatives, without making them. Only the query gets a gradient.

        cos(q, (u + 2 l)/|u + 2 l|) = (q.u + 2 q.l) / sqrt(5 + 4 u.l)

    Args:
        query, unlabelled, labelled: [B, D], [M, D], [L, D] as in :func:`hard_negative_generation`.
        partners: int64 [B, rounds, safe] from :func:`draw_partners`, on the query's device.
        keep: how many stay, in [1, 2 * rounds * safe].
        shares: [B, rounds, safe] in (0, 1): one mix ``mu u + (1 - mu) l`` of each pair with this mu, as the paper
            writes it, instead of the code's two mixes with 1/3 and 2/3. ``keep`` is then at most rounds * safe.

    Returns:
        [B, keep], greatest first: the cosines of the query with what :func:`hard_negative_generation` returns.
    """
    _, rounds, safe = partners.shape
    _check_queues(query, unlabelled, labelled, safe, rounds, keep, mixes=2 if shares is None else 1)
    _, cosine = _mixes(unit(query), unit(unlabelled.detach()), unit(labelled.detach()), partners, shares)
    return cosine.topk(keep, dim=1).values


def _check_queues(
    query: Tensor, unlabelled: Tensor, labelled: Tensor, safe: int, rounds: int, keep: int, *, mixes: int = 2
) -> None:
    for name, z in (("query", query), ("unlabelled", unlabelled), ("labelled", labelled)):
        check_rows(name, z)
    if not 1 <= safe <= min(len(unlabelled), len(labelled)):
        raise ValueError(f"safe must be in [1, {min(len(unlabelled), len(labelled))}], the shorter queue, got {safe}")
    most = mixes * rounds * safe
    if rounds < 1 or not 1 <= keep <= most:
        raise ValueError(f"keep must be in [1, {'2 * ' * (mixes == 2)}rounds * safe = {most}], got {keep}")


def _mixes(
    q: Tensor, u: Tensor, other: Tensor, partners: Tensor, shares: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The far entries of ``u`` ([B, safe]) and the cosines of all mixes: first those of u + 2 l, then of 2 u + l."""
    to_u, to_l = dot_products(q, u), dot_products(q, other)
    far = to_u.detach().topk(partners.shape[2], dim=1, largest=False).indices
    near = to_u.gather(1, far)[:, None]
    toward = to_l.gather(1, partners.flatten(1)).view(partners.shape)
    between = _between(u, other, far, partners)
    if shares is None:  # |u + 2 l| = |2 u + l|
        length = (5 + 4 * between).clamp_min(SHORTEST_MIX).sqrt()
        cosine = torch.stack([near + 2 * toward, 2 * near + toward], dim=1) / length[:, None]
    else:
        rest = 1 - shares
        length = (shares.square() + rest.square() + 2 * shares * rest * between).clamp_min(SHORTEST_MIX).sqrt()
        cosine = (shares * near + rest * toward) / length
    return far, cosine.flatten(1)


@torch.no_grad()
def _between(u: Tensor, other: Tensor, far: Tensor, partners: Tensor) -> Tensor:
    """u . l of each mix, [B, rounds, safe]: of the pairs alone, or of all pairs where that is less work."""
    if partners.numel() * SAMPLED_COST > len(u) * len(other):
        return dot_products(u, other).flatten()[far[:, None] * len(other) + partners]
    numbers = CHUNK_NUMBERS.get(u.device.type, CHUNK_NUMBERS_ELSEWHERE)
    queries = max(1, min(len(far), numbers // (partners[0].numel() * u.shape[1])))
    rows = u.new_empty(queries * partners[0].numel(), u.shape[1])  # used again: fresh memory costs more than the sums
    between = u.new_empty(partners.shape)
    for start in range(0, len(far), queries):
        part = slice(start, start + queries)
        index = partners[part]
        chosen = torch.index_select(other, 0, index.flatten(), out=rows[: index.numel()])
        mixed = chosen.view(*index.shape, u.shape[1]).mul_(u[far[part]][:, None])
        torch.sum(mixed, dim=-1, out=between[part])
    return between
