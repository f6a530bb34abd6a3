"""Sets of labelled graphs in memory: all graphs of a set in a few tensors, found by name.

The known TU data sets are checked against their published statistics; any other folder in the TU text format works by
its name. See ``tu.py`` for the format and the places that are looked in, ``graph_batches.py`` for batches.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastbench.data import tu
from contrastbench.data.catalogue import data_root

# name: graphs, classes, nodes per graph, edges per graph, node labels. Source: the TU collection's table of statistics
# (Morris et al. 2020, arXiv:2007.08663). Means are compared to 0.01, as printed.
STATISTICS: dict[str, tuple[int, int, float, float, int]] = {
    "MUTAG": (188, 2, 17.93, 19.79, 7),
    "PTC_MR": (344, 2, 14.29, 14.69, 18),
    "ENZYMES": (600, 6, 32.63, 62.14, 3),
    "PROTEINS": (1113, 2, 39.06, 72.82, 3),
    "NCI1": (4110, 2, 29.87, 32.30, 37),
    "NCI109": (4127, 2, 29.68, 32.13, 38),
    "DD": (1178, 2, 284.32, 715.66, 89),
    "IMDB-BINARY": (1000, 2, 19.77, 96.53, 0),
    "IMDB-MULTI": (1500, 3, 13.00, 65.94, 0),
    "REDDIT-BINARY": (2000, 2, 429.63, 497.75, 0),
    "REDDIT-MULTI-5K": (4999, 5, 508.52, 594.87, 0),
    "COLLAB": (5000, 3, 74.49, 2457.78, 0),
}
EDGE_TOLERANCE = {"COLLAB": 1.0}  # self-loops: copies differ in how many they keep (2457.22 without, 2457.78 with)

FEATURES = ("degree", "constant")
LARGEST_ONE_HOT_DEGREE = 1000  # from this degree on, the degree itself, standardised


@dataclass(frozen=True)
class GraphSet:
    """G graphs with N nodes and E directed edges in all (an undirected edge counts twice).

    Attributes:
        features: [N, F] float32.
        features_from: where they come from: "node labels", "node attributes", "one-hot degree", "standardised degree"
            or "constant".
        edges: [2, E] int64, source and target, sorted by target.
        first_node: [G + 1] int64; graph g has the nodes first_node[g] .. first_node[g + 1] - 1.
        labels: [G] int64, classes counted from 0.
        sha256: of the content (edges, nodes, labels), not of files.
    """

    name: str
    features: Tensor
    features_from: str
    edges: Tensor
    first_node: Tensor
    labels: Tensor
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def graph_of_node(self) -> Tensor:
        return torch.repeat_interleave(torch.arange(len(self)), self.first_node.diff())


def load_graphs(
    name: str, root: str | os.PathLike[str] | None = None, *, download: bool = False, features: str = "degree"
) -> GraphSet:
    """Loads a set of graphs by its name.

    Args:
        name: a TU data set, or any folder or zip in the TU text format.
        root: the data root; without it $CONTRASTBENCH_DATA, or the user's cache. MUTAG is there in any case.
        download: fetch a missing set from the TU collection, through PyTorch Geometric.
        features: what nodes without labels and attributes get: "degree" (one-hot; standardised from degree 1,000 on;
            as HCL's code) or "constant" (1, as InfoGraph's code).

    Raises:
        ValueError: nothing of that name, a broken file, one class only, or a known name with other statistics.
    """
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {features!r}")
    folder = data_root(root)
    files = tu.locate(name, folder)
    if files is None and download:
        files = _download(name, folder)
    if files is None:
        raise ValueError(
            f"no graphs {name!r} in {folder} (looked for {name}/raw, {name} and {name}.zip, there and in tu/); "
            f"`contrastbench data fetch {name}` downloads a TU data set"
        )
    raw = tu.read_raw(files)
    _check_statistics(name, raw)
    return _assemble(name, raw, features)


def _download(name: str, folder: Path) -> tu.Files | None:
    """PyTorch Geometric's download: it leaves the raw files in ``folder/tu/NAME/raw``."""
    from torch_geometric.datasets import TUDataset

    try:
        TUDataset(str(folder / "tu"), name=name)
    except Exception as error:  # whatever the network or the archive raises, the user must read one line
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{name} could not be downloaded into {folder / 'tu'}: {reason}") from error
    return tu.locate(name, folder)


def _check_statistics(name: str, raw: tu.RawGraphs) -> None:
    classes = len(np.unique(raw.graph_labels))
    if classes < 2:
        raise ValueError(f"all graphs of {name} are of one class; at least 2 are needed")
    if name not in STATISTICS:
        return
    graphs, known_classes, nodes, edges, labels = STATISTICS[name]
    found_labels = 0 if raw.node_labels is None else int(np.ptp(raw.node_labels[:, 0])) + 1
    found = (
        len(raw.graph_labels),
        classes,
        len(raw.graph_of_node) / len(raw.graph_labels),
        raw.edges.shape[1] / 2 / len(raw.graph_labels),
        found_labels,
    )
    tolerance = (0, 0, 0.01, EDGE_TOLERANCE.get(name, 0.01), 0)
    if any(abs(a - b) > t for a, b, t in zip(found, STATISTICS[name], tolerance, strict=True)):
        raise ValueError(
            f"{name} should have {graphs} graphs, {known_classes} classes, {nodes} nodes and {edges} edges per graph "
            f"and {labels} node labels; these files have "
            f"{found[0]}, {found[1]}, {found[2]:.2f}, {found[3]:.2f} and {found[4]}"
        )


def _assemble(name: str, raw: tu.RawGraphs, features: str) -> GraphSet:
    values, features_from = _node_features(raw, features)
    first_node = np.searchsorted(raw.graph_of_node, np.arange(len(raw.graph_labels) + 1))
    labels = np.unique(raw.graph_labels, return_inverse=True)[1].ravel()
    return GraphSet(
        name=name,
        features=torch.from_numpy(values),
        features_from=features_from,
        edges=torch.from_numpy(raw.edges),
        first_node=torch.from_numpy(first_node),
        labels=torch.from_numpy(labels),
        sha256=_sha256(raw),
    )


def _node_features(raw: tu.RawGraphs, features: str) -> tuple[np.ndarray, str]:
    """[N, F] float32. Labels go before attributes, as PyTorch Geometric's default reads the TU sets."""
    nodes = len(raw.graph_of_node)
    if raw.node_labels is not None:
        return np.concatenate([_one_hot(column) for column in raw.node_labels.T], axis=1), "node labels"
    if raw.node_attributes is not None:
        return raw.node_attributes.astype(np.float32), "node attributes"
    if features == "constant":
        return np.ones((nodes, 1), dtype=np.float32), "constant"
    degree = np.bincount(raw.edges[0], minlength=nodes)
    if degree.max() < LARGEST_ONE_HOT_DEGREE:
        return _one_hot(degree, first=0), "one-hot degree"
    standardised = (degree - degree.mean()) / degree.std(ddof=1)
    return standardised.astype(np.float32)[:, None], "standardised degree"


def _one_hot(values: np.ndarray, first: int | None = None) -> np.ndarray:
    first = int(values.min()) if first is None else first
    encoded = np.zeros((len(values), int(values.max()) - first + 1), dtype=np.float32)
    encoded[np.arange(len(values)), values - first] = 1.0
    return encoded


def _sha256(raw: tu.RawGraphs) -> str:
    digest = hashlib.sha256()
    for array in (raw.edges, raw.graph_of_node, raw.graph_labels, raw.node_labels, raw.node_attributes):
        if array is not None:
            digest.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
