"""Full ranking of the next item: hit rate, NDCG and mean reciprocal rank under three rules for what a user has seen.

Dimensions: U users, b users of a batch, I items. Numbers 1 to I are items; 0 is padding and I + 1 the mask.

The three rules, by the names that metrics carry:

* ``zeroed``: the scores of seen items become 0; all I + 2 numbers compete. S3-Rec, CoSeRec, ICLRec (trainers.py: copied
  from HGN). Where the target's score is negative, seen items beat it; a target that was seen gets 0 as well.
* ``unmasked``: nothing is changed; the I items compete. DuoRec, RecBole's sequential models, SELFRec.
* ``excluded``: seen items other than the target cannot win. What most readers expect; no paper here does it.

Equal scores: the metrics' expected value over a random order of the equal ones. The papers' code takes whatever order a
sort leaves, which depends on the machine; "worst place" would punish counting methods, whose scores are often equal.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from contrastbench.data.interactions import PADDING, Split, pad_left
from contrastbench.encoders.sequences import SequenceEncoder

RULES = ("zeroed", "unmasked", "excluded")
CUTS = (5, 10, 20)


@torch.no_grad()
def rank_next_items(
    encoder: SequenceEncoder,
    split: Split,
    part: str,
    rules: tuple[str, ...],
    device: str,
    ranks: dict[str, Tensor] | None = None,
) -> dict[str, float]:
    """The metrics of an encoder on "validation" or "test"; ``rules`` and ``ranks`` as in :func:`ranking_metrics`."""
    histories, targets = split.questions(part)
    rows = pad_left(histories, encoder.longest)
    encoder.eval()

    def scores_of(users: np.ndarray) -> Tensor:
        some = torch.from_numpy(rows[users])
        trimmed = some[:, (some != PADDING).any(dim=0)]
        return encoder.scores(encoder.last(trimmed.to(device)))

    return ranking_metrics(scores_of, histories, targets, split=part, rules=rules, ranks=ranks)


def ranking_metrics(
    scores_of: Callable[[np.ndarray], Tensor],
    histories: Sequence[np.ndarray],
    targets: np.ndarray,
    *,
    split: str = "test",
    rules: Sequence[str] = RULES,
    batch: int = 256,
    ranks: dict[str, Tensor] | None = None,
) -> dict[str, float]:
    """HR and NDCG at 5, 10 and 20, MRR at 10 and MRR, in percent: ``test_ndcg10_zeroed_percent`` and so on.

    Args:
        scores_of: the scores [b, I + 2] of all numbers for the users with these places in ``histories``.
        histories: what each of the U users has seen, as numbers.
        targets: int64 [U], the item to be found.
        split: the first word of the metrics' names.
        batch: users at a time; no [U, I] matrix is kept.
        ranks: takes up, by rule, int32 [2, U]: how many numbers score higher than the target, and how many as high.

    Raises:
        ValueError: an unknown rule, or a score that is NaN.
    """
    if unknown := [rule for rule in rules if rule not in RULES]:
        raise ValueError(f"unknown rule {unknown[0]!r}; there are: {', '.join(RULES)}")
    order = np.argsort([len(history) for history in histories], kind="stable")  # users of one length come together
    found: dict[str, list[Tensor]] = {rule: [] for rule in rules}
    size = 0
    for users in np.split(order, range(batch, len(order), batch)):
        scores = scores_of(users)
        size = scores.shape[1]
        seen = _seen_items([histories[user] for user in users], scores)
        wanted = torch.from_numpy(targets[users]).to(scores.device)
        for rule, counts in _better_and_equal(scores, *seen, wanted, rules).items():
            found[rule].append(counts)
    metrics = {}
    for rule in rules:
        better, equal = counts = torch.cat(found[rule], dim=1).cpu()
        for name, value in metrics_of_ranks(better, equal, size).items():
            metrics[f"{split}_{name}_{rule}_percent"] = value
        if ranks is not None:
            ranks[rule] = counts[:, np.argsort(order)].int()
    return metrics


def metrics_of_ranks(better: Tensor, equal: Tensor, size: int) -> dict[str, float]:
    """The means over users, in percent, of the gains by their ranks."""
    return {name: 100 * float(each.mean()) for name, each in gains_of_ranks(better, equal, size).items()}


def gains_of_ranks(better: Tensor, equal: Tensor, size: int) -> dict[str, Tensor]:
    """By metric each user's gain [U], for ``better`` [U] greater and ``equal`` [U] other equal scores of ``size``.

    The target's rank is one of better, ..., better + equal (from 0), each as likely. A gain is therefore the mean of
    the gains at these ranks, read off a running sum.
    """
    ranks = torch.arange(size, dtype=torch.float64)
    gains = {f"hr{cut}": (ranks < cut).double() for cut in CUTS}
    gains |= {f"ndcg{cut}": torch.where(ranks < cut, 1 / torch.log2(ranks + 2), 0.0) for cut in CUTS}
    gains |= {"mrr10": torch.where(ranks < 10, 1 / (ranks + 1), 0.0), "mrr": 1 / (ranks + 1)}
    sums = {name: torch.cat([torch.zeros(1, dtype=torch.float64), gain.cumsum(0)]) for name, gain in gains.items()}
    return {name: (each[better + equal + 1] - each[better]) / (equal + 1) for name, each in sums.items()}


def _seen_items(histories: Sequence[np.ndarray], scores: Tensor) -> tuple[Tensor, Tensor]:
    """The users, as rows of the scores, and the numbers that they have seen; each pair once."""
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    pairs = torch.from_numpy(np.unique(users * scores.shape[1] + np.concatenate(histories))).to(scores.device)
    return pairs // scores.shape[1], pairs % scores.shape[1]


def _better_and_equal(
    scores: Tensor, users: Tensor, seen: Tensor, wanted: Tensor, rules: Sequence[str]
) -> dict[str, Tensor]:
    """By rule int64 [2, b]: how many candidates score higher than the target, and how many others equal to it.

    All numbers are compared once; what a rule changes is corrected at the few places that it changes.
    """
    if scores.amax().isnan():
        raise ValueError("a score is NaN: the ranking means nothing")
    own = scores.gather(1, wanted[:, None])[:, 0]
    everything = _counts(scores, own)
    found = {}
    if set(rules) - {"zeroed"}:
        ends = _counts(scores[:, [0, -1]], own)
        others = seen != wanted[users]
        higher_seen = _by_user(_compare(scores[users, seen], own[users]) & others, users, len(own))
        found["unmasked"] = everything - ends
        found["excluded"] = found["unmasked"] - higher_seen
    if "zeroed" in rules:
        again = users[seen == wanted[users]]  # a target that was seen is zeroed, too
        own = own.index_fill(0, again, 0.0)
        everything[:, again] = _counts(scores[again], own[again])
        change = _compare(torch.zeros_like(users, dtype=own.dtype), own[users]).long()
        change -= _compare(scores[users, seen], own[users]).long()
        found["zeroed"] = everything + _by_user(change, users, len(own))
    itself = torch.tensor([[0], [1]], device=scores.device)
    return {rule: found[rule] - itself for rule in rules}


def _compare(scores: Tensor, own: Tensor) -> Tensor:
    """Boolean [2, n]: whether a score is higher than the target's, and whether it is equal."""
    return torch.stack([scores > own, scores == own])


def _counts(scores: Tensor, own: Tensor) -> Tensor:
    """int64 [2, b]: how many of a row's scores are higher than its target's, and how many are equal."""
    compared = (scores > own[:, None], scores == own[:, None])
    return torch.stack([each.view(torch.uint8).sum(dim=1, dtype=torch.int32) for each in compared]).long()


def _by_user(values: Tensor, users: Tensor, count: int) -> Tensor:
    """int64 [2, count]: the sums of the values [2, n] of each user."""
    return torch.zeros(2, count, dtype=torch.long, device=users.device).index_add_(1, users, values.long())
