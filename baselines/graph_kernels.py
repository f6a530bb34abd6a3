"""What a learned embedding of graphs must beat: graph kernels, and the sum of the node features."""

from __future__ import annotations

import numpy as np

from contrastbench.data.graph_batches import colours
from contrastbench.data.graphs import GraphSet


def feature_sum(graphs: GraphSet) -> np.ndarray:
    """[G, F]: the sum of each graph's node features; knows no edge (degree features know how many there are)."""
    return np.add.reduceat(graphs.features.numpy().astype(np.float64), graphs.first_node[:-1].numpy(), axis=0)


def weisfeiler_leman_kernel(graphs: GraphSet, steps: int) -> np.ndarray:
    """The Weisfeiler-Leman subtree kernel [G, G], scaled to a diagonal of 1.

        K = sum_{s = 0 .. steps} H_s H_s^T,     H_s[g, c] = nodes of graph g that have colour c after s refinements

    Source: Shervashidze et al. 2011, JMLR 12; equal to grakel's (a test compares them).
    """
    from scipy import sparse

    graph_of_node = graphs.graph_of_node.numpy()
    kernel = np.zeros((len(graphs), len(graphs)))
    for step in range(steps + 1):
        colour = colours(graphs, step)
        histogram = sparse.csr_matrix((np.ones(len(colour)), (graph_of_node, colour)))
        kernel += (histogram @ histogram.T).toarray()
    return _scaled(kernel)


def shortest_path_kernel(graphs: GraphSet) -> np.ndarray:
    """The labelled shortest-path kernel [G, G] (Borgwardt and Kriegel 2005), by grakel, scaled to a diagonal of 1."""
    from grakel.kernels import ShortestPath

    return _scaled(ShortestPath(normalize=False).fit_transform(_grakel_graphs(graphs)))


def graphlet_kernel(graphs: GraphSet, size: int, random_state: int, *, samples: int = 150) -> np.ndarray:
    """The graphlet kernel [G, G] (Shervashidze 2009), by grakel, from ``samples`` subgraphs of ``size`` nodes."""
    from grakel.kernels import GraphletSampling

    kernel = GraphletSampling(k=size, sampling={"n_samples": samples}, random_state=random_state)
    return _scaled(kernel.fit_transform(_grakel_graphs(graphs)))


def _scaled(kernel: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.diag(kernel))
    norm[norm == 0] = 1.0
    return kernel / np.outer(norm, norm)


def _grakel_graphs(graphs: GraphSet) -> list:
    """Each graph as grakel reads it: a dictionary of neighbours (every node has an entry) and one of labels."""
    from grakel import Graph

    _, label = np.unique(graphs.features.numpy(), axis=0, return_inverse=True)
    first_node, (source, target) = graphs.first_node.tolist(), graphs.edges.numpy()
    first_edge = np.searchsorted(target, np.arange(first_node[-1] + 1))
    result = []
    for start, end in zip(first_node[:-1], first_node[1:], strict=True):
        neighbours = {
            node - start: (source[first_edge[node] : first_edge[node + 1]] - start).tolist()
            for node in range(start, end)
        }
        result.append(Graph(neighbours, dict(enumerate(label.ravel()[start:end].tolist()))))
    return result
