"""The weighted nearest-neighbour classifier: what features know without any training."""

import torch
from torch import Tensor

QUERY_CHUNK = 512  # queries compared with the whole bank at a time


def knn_top1_percent(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    *,
    neighbours: int = 200,
    temperature: float = 0.5,
) -> float:
    """Share of queries whose class wins the weighted vote of their nearest bank features.

        vote(c) = sum over the k nearest j with label c of exp(s(q, j) / t),  s the cosine

    Args:
        bank, queries: [N, F] and [Q, F] features, any norm.
        bank_labels, query_labels: [N] and [Q] class numbers.
        neighbours: k; all of the bank where it is smaller.
        temperature: t > 0.

    Returns:
        Percent of queries; of two equal votes the smaller class number wins.

    Source: Wu et al. 2018, arXiv:1805.01978, sec. 3.4; k = 200 and t = 0.5 as in joshr17/HCL image/main.py.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, got {neighbours}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    if len(bank) == 0 or len(queries) == 0:
        raise ValueError(f"kNN needs a bank and queries, got {len(bank)} and {len(queries)} features")
    classes = int(max(bank_labels.max(), query_labels.max())) + 1
    bank = torch.nn.functional.normalize(bank.float(), dim=1)
    queries = torch.nn.functional.normalize(queries.float(), dim=1)
    one_hot = torch.nn.functional.one_hot(bank_labels, classes).float()
    correct = torch.zeros((), dtype=torch.long, device=queries.device)  # read once, at the end
    for chunk, labels in zip(queries.split(QUERY_CHUNK), query_labels.split(QUERY_CHUNK), strict=True):
        cosine, nearest = (chunk @ bank.T).topk(min(neighbours, len(bank)), dim=1)
        weight = torch.exp((cosine - 1) / temperature)
        votes = torch.bmm(weight[:, None], one_hot[nearest])  # not scatter_add, which is not deterministic on GPUs
        correct += (votes.squeeze(1).argmax(dim=1) == labels).sum()
    return 100 * int(correct) / len(queries)
