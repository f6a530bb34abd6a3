"""ICLRec: a sequence's views must also pick the intent of the sequence, the centre of its cluster.

Dimensions: B sequences, N sequences in all, T places, D wide, K clusters.

Source: Chen et al. 2022, arXiv:2202.02519, section 4; salesforce/ICLRec src/trainers.py, models.py. The authors cluster
with faiss (20 iterations, 5 restarts); here it is scikit-learn's k-means with the same numbers, from random points too.
Their faiss object outlives the epoch and goes on from its last centres, from which all restarts are the same.
"""

import torch
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import normalize

from contrastbench.encoders.sequences import SequenceEncoder

ITERATIONS, RESTARTS = 20, 5
BATCH = 256


def centres(
    encoder: SequenceEncoder, rows: Tensor, clusters: int, random_state: int, last: Tensor | None = None
) -> Tensor:
    """[K, D]: k-means of the N sequences' mean outputs, padding's places included, as in the authors' code.

    It goes on from the ``last`` centres, or begins at random points.

    Raises:
        ValueError: fewer sequences than clusters.
    """
    if len(rows) < clusters:
        raise ValueError(f"clusters must be at most the number of sequences, {len(rows)}; got {clusters}")
    was_training, device = encoder.training, encoder.items.weight.device
    encoder.eval()
    with torch.no_grad():
        means = torch.cat([encoder(some.to(device)).mean(dim=1).cpu() for some in rows.split(BATCH)])
    encoder.train(was_training)
    if last is None:
        k_means = KMeans(clusters, init="random", n_init=RESTARTS, max_iter=ITERATIONS, random_state=random_state)
    else:
        k_means = KMeans(clusters, init=last.numpy(), n_init=1, max_iter=ITERATIONS, tol=0)
    return torch.from_numpy(k_means.fit(means.numpy()).cluster_centers_).float()


def intents(states: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The number of the centre [B] next to the mean of outputs [B, T, D], and that centre brought to length 1 [B, D].

    No gradient.
    """
    means = states.detach().mean(dim=1)
    distances = centres.square().sum(dim=1) - 2 * means @ centres.T
    own = distances.argmin(dim=1)
    return own, normalize(centres, dim=1)[own]
