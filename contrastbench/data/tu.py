"""The TU text format (``NAME_A.txt``, ``NAME_graph_indicator.txt``, ...) as plain arrays, from folders and zips.

The format: one edge, node or graph a line, counted from 1. Any folder that follows it can be read by its name.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from contrastbench.data.contents import is_clutter, member, members

FILES = Path(__file__).parent / "files"  # data sets that come with this package, each beside its licence
EMBEDDED = ("MUTAG",)

MOST_LABELS = 10_000  # numbers between the smallest and the largest label of a node, each an entry of every node


@dataclass(frozen=True)
class Files:
    """The text files of one data set, in a folder or in a zip file; "A" is NAME_A.txt."""

    name: str
    place: Path
    members: Mapping[str, str]  # file name -> its name in the zip file, or in the folder

    def __contains__(self, suffix: str) -> bool:
        return f"{self.name}_{suffix}.txt" in self.members

    def read(self, suffix: str) -> bytes | None:
        """The content of a file; None where there is none."""
        found = self.members.get(f"{self.name}_{suffix}.txt")
        if found is None:
            return None
        return (self.place / found).read_bytes() if self.place.is_dir() else member(self.place, found)


@dataclass(frozen=True)
class RawGraphs:
    """What the text files say, counted from 0; N nodes, G graphs."""

    edges: np.ndarray  # [2, E] source, target: sorted, each once, no self-loops
    graph_of_node: np.ndarray  # [N], not decreasing
    graph_labels: np.ndarray  # [G] as written
    node_labels: np.ndarray | None  # [N, columns] as written
    node_attributes: np.ndarray | None  # [N, columns]


def locate(name: str, root: Path) -> Files | None:
    """Finds a data set's files under ``root``: ``[tu/]NAME/raw``, ``[tu/]NAME`` or ``[tu/]NAME.zip``; else embedded.

    Returns:
        None where the data set is nowhere.

    Raises:
        ValueError: NAME.zip is not a whole zip file.
    """
    for folder in (root / "tu", root):
        for place in (folder / name / "raw", folder / name / name / "raw", folder / name):
            if place.is_dir() and (found := _in_folder(name, place)).members:
                return found
        if (folder / f"{name}.zip").is_file():
            return _in_zip(name, folder / f"{name}.zip")
    return _in_folder(name, FILES / name) if name in EMBEDDED else None


def _in_folder(name: str, place: Path) -> Files:
    there = (file.name for file in place.iterdir())
    return Files(name, place, {file: file for file in there if file.startswith(f"{name}_") and file.endswith(".txt")})


def _in_zip(name: str, archive: Path) -> Files:
    """Members are found by their last part: some archives hold double slashes, some have no folder."""
    return Files(name, archive, {PurePosixPath(each).name: each for each in members(archive)})


def folders(root: Path) -> dict[str, Path]:
    """The data sets under ``root`` by name, with the folder or zip that each is in. No file is read.

    A damaged zip file is among them, since it may be one: loading it says what is wrong.
    """
    places = {
        place.name.removesuffix(".zip"): place
        for folder in (root, root / "tu")
        if folder.is_dir()
        for place in sorted(folder.iterdir())
        if not is_clutter(place.name) and (place.is_dir() or place.suffix == ".zip")
    }
    return {name: place for name, place in places.items() if _has_edges(name, root)}


def _has_edges(name: str, root: Path) -> bool:
    try:
        found = locate(name, root)
    except PermissionError:
        return False
    except ValueError:
        return any(_begins_like_a_zip(folder / f"{name}.zip") for folder in (root / "tu", root))
    return found is not None and "A" in found


def _begins_like_a_zip(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"


def read_raw(files: Files) -> RawGraphs:
    """Reads and checks the files of one data set.

    Raises:
        ValueError: a file is missing, is not numbers, or does not fit the others; one line that says which and where.
    """
    name = files.name
    graph_of_node = _read_needed(files, "graph_indicator")[:, 0] - 1
    graph_labels = _read_needed(files, "graph_labels")[:, 0]
    edges = _read_needed(files, "A", columns=2).T - 1
    nodes, graphs = len(graph_of_node), len(graph_labels)
    _check_indicator(name, graph_of_node, graphs)
    outside = np.any((edges < 0) | (edges >= nodes), axis=0)
    if outside.any():
        line = f"{name}_A.txt:{outside.argmax() + 1}"
        raise ValueError(f"{line} has the edge {_edge(edges, outside)}; {name}_graph_indicator.txt has {nodes} nodes")
    across = np.not_equal(*graph_of_node[edges])
    if across.any():
        raise ValueError(f"{name}_A.txt:{across.argmax() + 1} has the edge {_edge(edges, across)} between two graphs")
    return RawGraphs(
        edges=_merge_edges(name, edges, nodes),
        graph_of_node=graph_of_node,
        graph_labels=graph_labels,
        node_labels=_node_labels(files, nodes),
        node_attributes=_node_attributes(files, nodes),
    )


def _edge(edges: np.ndarray, bad: np.ndarray | np.bool) -> str:
    """The first edge where ``bad`` holds, as it is written."""
    source, target = edges[:, bad.argmax()] + 1
    return f"{source}, {target}"


def _check_indicator(name: str, graph_of_node: np.ndarray, graphs: int) -> None:
    if not len(graph_of_node) or (np.diff(graph_of_node) < 0).any() or graph_of_node[0] < 0:
        raise ValueError(f"{name}_graph_indicator.txt must count graphs upwards from 1, one node a line")
    if graph_of_node[-1] >= graphs:
        raise ValueError(
            f"{name}_graph_indicator.txt has {graph_of_node[-1] + 1} graphs, {name}_graph_labels.txt has {graphs}"
        )
    empty = np.flatnonzero(np.bincount(graph_of_node, minlength=graphs) == 0)
    if len(empty):
        raise ValueError(f"graph {empty[0] + 1} of {name} has no nodes")


def _merge_edges(name: str, edges: np.ndarray, nodes: int) -> np.ndarray:
    """Sorted by target then source, each edge once, without self-loops (IMDB lists every edge twice)."""
    codes = np.unique((edges[1] * nodes + edges[0])[edges[0] != edges[1]])
    merged = np.stack([codes % nodes, codes // nodes])
    reversed_codes = np.sort(merged[0] * nodes + merged[1])
    if not np.array_equal(codes, reversed_codes):
        one_way = np.isin(edges[1] * nodes + edges[0], reversed_codes, invert=True) & (edges[0] != edges[1])
        line = f"{name}_A.txt:{one_way.argmax() + 1}"
        raise ValueError(f"{line} has the edge {_edge(edges, one_way)} in one direction; each must be there in both")
    return merged


def _node_labels(files: Files, nodes: int) -> np.ndarray | None:
    values = _per_node(files, "node_labels", np.int64, nodes)
    if values is None:
        return None
    far = (values.astype(np.float64) - values.min(axis=0) >= MOST_LABELS).any(axis=1)  # int64 could overflow
    if far.any():
        found = f"{files.name}_node_labels.txt:{far.argmax() + 1} has the label {values[far.argmax()].max()}"
        raise ValueError(f"{found}; labels must be less than {MOST_LABELS:,} above the smallest, {values.min()}")
    return values


def _node_attributes(files: Files, nodes: int) -> np.ndarray | None:
    values = _per_node(files, "node_attributes", np.float64, nodes)
    if values is None:
        return None
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(values.astype(np.float32))
    if bad.any():
        line, value = bad.any(axis=1).argmax() + 1, values[bad][0]
        found = "an empty field or nan" if np.isnan(value) else f"{value:g}"
        raise ValueError(f"{files.name}_node_attributes.txt:{line} has {found}; single precision needs finite numbers")
    return values


def _per_node(files: Files, suffix: str, kind: type, nodes: int) -> np.ndarray | None:
    values = _numbers(files, suffix, kind)
    if values is not None and len(values) != nodes:
        file = f"{files.name}_{suffix}.txt"
        raise ValueError(f"{file} has {len(values)} lines, {files.name}_graph_indicator.txt has {nodes} nodes")
    return values


def _read_needed(files: Files, suffix: str, columns: int = 1) -> np.ndarray:
    values = _numbers(files, suffix, np.int64)
    if values is None:
        raise ValueError(f"{files.name}_{suffix}.txt is missing; {files.name} needs it")
    if values.size == 0:
        values = values.reshape(0, columns)
    if values.shape[1] != columns:
        raise ValueError(f"{files.name}_{suffix}.txt must have {columns} numbers a line, got {values.shape[1]}")
    return values


def _numbers(files: Files, suffix: str, kind: type) -> np.ndarray | None:
    """The file as an array [lines, columns]; None where there is no such file."""
    import pandas

    content = files.read(suffix)
    if content is None:
        return None
    try:
        table = pandas.read_csv(io.BytesIO(content), header=None, dtype=kind, skipinitialspace=True)
    except pandas.errors.EmptyDataError:
        return np.empty((0, 1), dtype=kind)
    except (ValueError, OverflowError, pandas.errors.ParserError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{files.name}_{suffix}.txt is not a table of numbers ({reason})") from error
    return table.to_numpy()
