"""How well clusters agree with classes: accuracy under the best matching, NMI, ARI; and whether clusters collapsed."""

import numpy as np
import torch
from torch import Tensor


def contingency(clusters: Tensor, labels: Tensor) -> Tensor:
    """int64 [clusters, classes]: how many items each cluster shares with each class; both numbered from 0 on.

    Raises:
        ValueError: the two differ in length, are empty, or hold negative numbers.
    """
    if clusters.shape != labels.shape or clusters.ndim != 1 or not len(labels):
        raise ValueError(
            f"clusters and labels must be two lists of one length, got {list(clusters.shape)} and {list(labels.shape)}"
        )
    clusters, labels = clusters.cpu().long(), labels.cpu().long()
    if min(clusters.min(), labels.min()) < 0:
        raise ValueError("clusters and labels are numbered from 0 on, got a negative number")
    columns = int(labels.max()) + 1
    rows = int(clusters.max()) + 1
    return torch.bincount(clusters * columns + labels, minlength=rows * columns).view(rows, columns)


def best_matching(counts: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Clusters and the classes they are matched with, one to one, so that most items agree (Hungarian algorithm)."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(counts.numpy(), maximize=True)


def clustering_accuracy_percent(clusters: Tensor, labels: Tensor) -> float:
    """Percent of items in the cluster that is matched with their class, under the best one-to-one matching.

        max over matchings m of mean_i [m(cluster_i) = class_i]

    Items of clusters or classes that are left over when one kind is more numerous are wrong.

    Source: Han et al. 2020, arXiv:2002.05714, section 4; Kuhn 1955 for the matching.
    """
    counts = contingency(clusters, labels)
    rows, columns = best_matching(counts)
    return 100 * float(counts[rows, columns].sum()) / len(labels)


def agreement(clusters: Tensor, labels: Tensor) -> dict[str, float]:
    """``accuracy_percent``, ``nmi_percent`` and ``ari_percent`` of clusters against classes.

    NMI is normalised by the arithmetic mean of the entropies; both NMI and ARI are times 100.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    accuracy = clustering_accuracy_percent(clusters, labels)
    both = (labels.cpu().numpy(), clusters.cpu().numpy())
    return {
        "accuracy_percent": accuracy,
        "nmi_percent": 100 * float(normalized_mutual_info_score(*both)),
        "ari_percent": 100 * float(adjusted_rand_score(*both)),
    }


def effective_clusters(clusters: Tensor) -> float:
    """exp of the entropy of the clusters' sizes: C for C clusters of one size, 1 where one has everything."""
    shares = torch.bincount(clusters.cpu().long()).double() / len(clusters)
    return float(torch.exp(-(shares * shares.clamp_min(1e-300).log()).sum()))


def has_collapsed(clusters: Tensor, wanted: int) -> bool:
    """Whether the items fell into fewer than half as many (effective) clusters as wanted. Needs no labels."""
    return effective_clusters(clusters) < wanted / 2


def kmeans(
    features: Tensor, clusters: int, *, seed: int, starts: int = 10, others: tuple[Tensor, ...] = ()
) -> tuple[Tensor, ...]:
    """k-means clusters of features, the tightest of several starts; and of ``others``, by their nearest centre.

    Args:
        features: [N, F].
        clusters: in [1, N].
        seed: below 2**32, draws the starts (k-means++).
        others: more features, not used to find the centres.

    Returns:
        int64 cluster numbers of ``features`` and of each of ``others``.

    Raises:
        FloatingPointError: features that are not finite.
    """
    from sklearn.cluster import KMeans

    if not 1 <= clusters <= len(features):
        raise ValueError(f"clusters must be in [1, {len(features)}], the number of features, got {clusters}")
    if not all(part.isfinite().all() for part in (features, *others)):
        raise FloatingPointError("features are not finite; k-means cannot be run on them")
    found = KMeans(clusters, n_init=starts, random_state=seed).fit(features.double().cpu().numpy())
    predicted = (found.predict(part.double().cpu().numpy()) for part in others)
    return tuple(torch.from_numpy(part).long() for part in (found.labels_, *predicted))
