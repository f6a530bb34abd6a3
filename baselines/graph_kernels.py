"""What a learned embedding of graphs must beat: graph kernels, and the sum of the node features.

The kernels are equal to those of the GraKeL package (0.1.11), which has no release for Python 3.13: number by number on
MUTAG and PTC_MR, sampled graphlets too.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np

from contrastbench.data.graph_batches import colours
from contrastbench.data.graphs import GraphSet


def feature_sum(graphs: GraphSet) -> np.ndarray:
    """[G, F]: the sum of each graph's node features; knows no edge (degree features know how many there are)."""
    return np.add.reduceat(graphs.features.numpy().astype(np.float64), graphs.first_node[:-1].numpy(), axis=0)


def weisfeiler_leman_kernel(graphs: GraphSet, steps: int) -> np.ndarray:
    """The Weisfeiler-Leman subtree kernel [G, G], scaled to a diagonal of 1.

        K = sum_{s = 0 .. steps} H_s H_s^T,     H_s[g, c] = nodes of graph g that have colour c after s refinements

    Source: Shervashidze et al. 2011, JMLR 12.
    """
    from scipy import sparse

    graph_of_node = graphs.graph_of_node.numpy()
    kernel = np.zeros((len(graphs), len(graphs)))
    for step in range(steps + 1):
        colour = colours(graphs, step)
        histogram = sparse.csr_matrix((np.ones(len(colour)), (graph_of_node, colour)))
        kernel += (histogram @ histogram.T).toarray()
    return _scale(kernel)


def shortest_path_kernel(graphs: GraphSet) -> np.ndarray:
    """The labelled shortest-path kernel [G, G], scaled to a diagonal of 1.

        K = H H^T,     H[g, (a, b, d)] = ordered pairs of nodes of graph g labelled a and b, d > 0 steps apart

    Labels are the node features: nodes with equal features have equal labels. A graph without edges is alike to none.

    Source: Borgwardt and Kriegel 2005.
    """
    from scipy.sparse.csgraph import shortest_path

    labels = np.unique(graphs.features.numpy(), axis=0, return_inverse=True)[1].ravel()
    first_node, kinds = graphs.first_node.numpy(), labels.max() + 1
    found = []
    for start, adjacency in zip(first_node, _adjacencies(graphs), strict=False):
        steps = shortest_path(adjacency, unweighted=True)
        source, target = np.nonzero(np.isfinite(steps) & (steps > 0))
        label = labels[start:]
        found.append((steps[source, target].astype(np.int64) * kinds + label[source]) * kinds + label[target])
    return _of_histograms([Counter(codes.tolist()) for codes in found])


def graphlet_kernel(graphs: GraphSet, size: int, random_state: int, *, samples: int = 150) -> np.ndarray:
    """The graphlet kernel [G, G] from ``samples`` random subgraphs of each graph, scaled to a diagonal of 1.

        K = H H^T,     H[g, c] = samples of graph g that are isomorphic to the graphlet c, and 1 more

    Each sample has 3 to ``size`` nodes, or fewer where the graph is smaller. The "1 more" is GraKeL's: it counts the
    first sample of a graphlet twice in every graph but the one that shows the graphlet for the first time.

    Args:
        size: in [3, 7].

    Source: Shervashidze et al. 2009, AISTATS.
    """
    if not 3 <= size <= 7:
        raise ValueError(f"size must be in [3, 7], got {size}")
    rng = np.random.RandomState(random_state)
    known: set[tuple[int, int]] = set()
    histograms = []
    for adjacency in _adjacencies(graphs):
        counts = Counter(_sampled_graphlets(adjacency.toarray(), size, samples, rng))
        counts.update(known & counts.keys())
        known |= counts.keys()
        histograms.append(counts)
    return _of_histograms(histograms)


def _sampled_graphlets(adjacency: np.ndarray, size: int, samples: int, rng: np.random.RandomState) -> Iterator:
    nodes = len(adjacency)
    fewest, most = min(3, nodes), min(size, nodes)
    for _ in range(samples):
        drawn = rng.choice(nodes, fewest if fewest == most else rng.randint(fewest, most + 1), replace=False)
        yield _canonical(len(drawn), adjacency[np.ix_(drawn, drawn)].tobytes())


@cache
def _canonical(nodes: int, adjacency: bytes) -> tuple[int, int]:
    """Equal for isomorphic graphs, and for those alone: the largest code that an order of the nodes gives, and size."""
    matrix = np.frombuffer(adjacency, dtype=np.int8).reshape(nodes, nodes)
    orders = np.array(list(itertools.permutations(range(nodes))))
    reordered = matrix[orders[:, :, None], orders[:, None, :]].reshape(len(orders), -1)
    return nodes, int((reordered @ (1 << np.arange(nodes * nodes))).max())


def _adjacencies(graphs: GraphSet) -> Iterator:
    """The adjacency matrix of each graph, sparse, int8."""
    from scipy import sparse

    nodes = len(graphs.features)
    ones = np.ones(graphs.edges.shape[1], dtype=np.int8)
    everything = sparse.csr_matrix((ones, tuple(graphs.edges.numpy())), shape=(nodes, nodes))
    first_node = graphs.first_node.tolist()
    return (everything[a:b, a:b] for a, b in zip(first_node[:-1], first_node[1:], strict=True))


def _of_histograms(histograms: list[Counter]) -> np.ndarray:
    """The kernel [G, G] of what each graph has how often: products of the counts, scaled."""
    from scipy import sparse

    column = {what: number for number, what in enumerate(dict.fromkeys(itertools.chain(*histograms)))}
    columns = [column[what] for counts in histograms for what in counts]
    values = np.array([count for counts in histograms for count in counts.values()], dtype=np.float64)
    ends = np.cumsum([0, *map(len, histograms)])
    matrix = sparse.csr_matrix((values, columns, ends), shape=(len(histograms), max(1, len(column))))
    return _scale((matrix @ matrix.T).toarray())


def _scale(kernel: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.diag(kernel))
    norm[norm == 0] = 1.0
    return kernel / np.outer(norm, norm)
