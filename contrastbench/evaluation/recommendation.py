"""Full ranking of all items for each user: recall and NDCG, with training items masked or everything known masked.

Dimensions: U users, b users of a batch, I items, n pairs, K the largest cut.

    Recall@K = hits among the first K / the user's held-out items
    NDCG@K   = sum over hits of 1 / log2(rank + 1)  /  the same sum for min(K, held-out items) hits at the top

Both are means over the users with held-out items. The two masks, by the names that metrics carry:

* ``train``: items of the training part cannot be recommended, those of validation can. LightGCN, SGL, SELFRec, SSLRec.
* ``known``: items of validation cannot be recommended in the test either. RecBole.

Equal scores: the expected value over a random order of the equal ones, as for the next item (``ranking.py``). The
papers' code takes whatever order a sort leaves.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

CUTS = (10, 20, 40)


def recommendation_metrics(
    scores_of: Callable[[Tensor], Tensor],
    held_out: np.ndarray,
    masks: Mapping[str, np.ndarray],
    *,
    split: str = "test",
    cuts: Sequence[int] = CUTS,
    batch: int = 1024,
) -> dict[str, float]:
    """Recall and NDCG in percent: ``test_recall20_train_percent``, ``test_ndcg10_known_percent`` and so on.

    Args:
        scores_of: the scores [b, I] of all items for these users [b]; they may be written over.
        held_out: int64 [n, 2], user and item, sorted: what is to be found.
        masks: by name the pairs that cannot be recommended, sorted; each mask holds all of the one before it.
        split: the first word of the metrics' names.
        cuts: the K.
        batch: users at a time; no [U, I] matrix is kept.

    Raises:
        ValueError: nothing is held out, or a score is NaN.
    """
    if not len(held_out):
        raise ValueError(f"the {split} part has no pairs, so there is nothing to rank")
    users = np.unique(held_out[:, 0])
    totals: dict[str, list[Tensor]] = {name: [] for name in masks}
    for some in np.split(users, range(batch, len(users), batch)):
        scores = scores_of(torch.from_numpy(some))
        if scores.isnan().any():
            raise ValueError("a score is NaN: the ranking means nothing")
        row, item = (torch.from_numpy(each).to(scores.device) for each in _of_users(held_out, some))
        own = scores[row, item]
        for name, pairs in masks.items():
            masked = (torch.from_numpy(each).to(scores.device) for each in _of_users(pairs, some))
            scores[tuple(masked)] = -torch.inf
            totals[name].append(_gains(scores, row, own, cuts).sum(dim=1).cpu())
    return {
        f"{split}_{kind}{cut}_{name}_percent": 100 * float(value) / len(users)
        for name, parts in totals.items()
        for (kind, cut), value in zip(
            [(kind, cut) for kind in ("recall", "ndcg") for cut in cuts], torch.stack(parts).sum(dim=0), strict=True
        )
    }


def _of_users(pairs: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of these users (all between the first and the last, rising), as places in ``users`` and items."""
    start, end = np.searchsorted(pairs[:, 0], [users[0], users[-1] + 1])
    part = pairs[start:end]
    place = np.searchsorted(users, part[:, 0])
    kept = users[place] == part[:, 0]
    return place[kept], part[kept, 1]


def _gains(scores: Tensor, row: Tensor, own: Tensor, cuts: Sequence[int]) -> Tensor:
    """float64 [2 * cuts, n]: each held-out item's part of its user's recalls, then of its user's NDCGs.

    Args:
        scores: [b, I], -inf where masked.
        row: [n], the user of each held-out item, as a row of scores.
        own: [n], the item's score.
    """
    better, equal = _places(scores, row, own, max(cuts))
    count = torch.bincount(row, minlength=len(scores))
    ranks = torch.arange(max(cuts), dtype=torch.float64, device=scores.device)
    gain = 1 / torch.log2(ranks + 2)
    sums = torch.cat([gain.new_zeros(1), gain.cumsum(0)])  # of the first 0, 1, 2, ... ranks
    recalls, ndcgs = [], []
    for cut in cuts:
        first, last = better.clamp(max=cut), (better + equal + 1).clamp(max=cut)
        recalls.append((last - first).double() / (equal + 1) / count[row])
        ndcgs.append((sums[last] - sums[first]) / (equal + 1) / sums[count[row].clamp(max=cut)])
    return torch.stack(recalls + ndcgs)


def _places(scores: Tensor, row: Tensor, own: Tensor, cut: int) -> tuple[Tensor, Tensor]:
    """How many items score higher than each held-out one, exact below ``cut``, and how many others score as high."""
    best = scores.topk(min(cut + 1, scores.shape[1]), dim=1).values
    theirs = best[row]
    better = (theirs > own[:, None]).sum(dim=1)
    equal = (theirs == own[:, None]).sum(dim=1)
    at_the_end = (theirs[:, -1] == own).nonzero().squeeze(1)  # equals may go on beyond what topk gave
    for some in at_the_end.split(256):
        equal[some] = (scores[row[some]] == own[some, None]).sum(dim=1)
    return better, (equal - 1).clamp_min(0)
