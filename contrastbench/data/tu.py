"""The TU text format (``NAME_A.txt``, ``NAME_graph_indicator.txt``, ...) as plain arrays, from folders and zips.

The format: one edge, node or graph a line, counted from 1. Any folder that follows it can be read by its name.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

FILES = Path(__file__).parent / "files"  # data sets that come with this package, each beside its licence
EMBEDDED = ("MUTAG",)

Opener = Callable[[str], bytes | None]  # "A" -> the bytes of NAME_A.txt, or None where there is no such file


@dataclass(frozen=True)
class RawGraphs:
    """What the text files say, counted from 0; N nodes, G graphs."""

    edges: np.ndarray  # [2, E] source, target: sorted, each once, no self-loops
    graph_of_node: np.ndarray  # [N], not decreasing
    graph_labels: np.ndarray  # [G] as written
    node_labels: np.ndarray | None  # [N, columns] as written
    node_attributes: np.ndarray | None  # [N, columns]


def locate(name: str, root: Path) -> Opener | None:
    """Finds a data set's files under ``root``: ``[tu/]NAME/raw``, ``[tu/]NAME`` or ``[tu/]NAME.zip``; else embedded.

    Returns:
        What opens a file by its suffix, or None where the data set is nowhere.
    """
    for folder in (root / "tu", root):
        for place in (folder / name / "raw", folder / name / name / "raw", folder / name):
            if any(place.glob(f"{name}_*.txt")):
                return _folder_opener(name, place)
        if (folder / f"{name}.zip").exists():
            return _zip_opener(name, folder / f"{name}.zip")
    if name in EMBEDDED:
        return _folder_opener(name, FILES / name)
    return None


def present(root: Path) -> dict[str, Path]:
    """The data sets under ``root`` that ``locate`` finds, by name, with the folder or zip that each is in."""
    places = {
        place.name.removesuffix(".zip"): place
        for folder in (root, root / "tu")
        if folder.is_dir()
        for place in sorted(folder.iterdir())
        if place.is_dir() or place.suffix == ".zip"
    }
    return {name: place for name, place in places.items() if _has_edges(name, root)}


def _has_edges(name: str, root: Path) -> bool:
    try:
        opener = locate(name, root)
        return opener is not None and opener("A") is not None
    except ValueError:  # a zip of something else, or half a one
        return False


def _folder_opener(name: str, folder: Path) -> Opener:
    def read(suffix: str) -> bytes | None:
        file = folder / f"{name}_{suffix}.txt"
        return file.read_bytes() if file.exists() else None

    return read


def _zip_opener(name: str, archive: Path) -> Opener:
    """Members are found by their last part: some archives hold double slashes, some have no folder."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {PurePosixPath(member).name: member for member in opened.namelist()}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is not a whole zip file ({error})") from error

    def read(suffix: str) -> bytes | None:
        member = members.get(f"{name}_{suffix}.txt")
        if member is None:
            return None
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)

    return read


def read_raw(name: str, opener: Opener) -> RawGraphs:
    """Reads and checks the files of one data set.

    Raises:
        ValueError: a file is missing, is not numbers, or the files' counts disagree; one line that says which.
    """
    graph_of_node = _needed(name, opener, "graph_indicator", np.int64)[:, 0] - 1
    graph_labels = _needed(name, opener, "graph_labels", np.int64)[:, 0]
    edges = _needed(name, opener, "A", np.int64, columns=2).T - 1
    nodes, graphs = len(graph_of_node), len(graph_labels)
    _check_indicator(name, graph_of_node, graphs)
    if edges.size and (edges.min() < 0 or edges.max() >= nodes):
        raise ValueError(f"{name}_A.txt names node {edges.max() + 1}, but {name}_graph_indicator.txt has {nodes} nodes")
    if (graph_of_node[edges[0]] != graph_of_node[edges[1]]).any():
        raise ValueError(f"{name}_A.txt has an edge between two graphs")
    return RawGraphs(
        edges=_merged(edges, nodes),
        graph_of_node=graph_of_node,
        graph_labels=graph_labels,
        node_labels=_per_node(name, opener, "node_labels", np.int64, nodes),
        node_attributes=_per_node(name, opener, "node_attributes", np.float64, nodes),
    )


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


def _merged(edges: np.ndarray, nodes: int) -> np.ndarray:
    """Sorted by target then source, each edge once, without self-loops (IMDB lists every edge twice)."""
    edges = edges[:, edges[0] != edges[1]]
    codes = np.unique(edges[1] * nodes + edges[0])
    return np.stack([codes % nodes, codes // nodes])


def _per_node(name: str, opener: Opener, suffix: str, kind: type, nodes: int) -> np.ndarray | None:
    values = _numbers(name, opener, suffix, kind)
    if values is not None and len(values) != nodes:
        raise ValueError(f"{name}_{suffix}.txt has {len(values)} lines, {name}_graph_indicator.txt has {nodes} nodes")
    return values


def _needed(name: str, opener: Opener, suffix: str, kind: type, columns: int = 1) -> np.ndarray:
    values = _numbers(name, opener, suffix, kind)
    if values is None:
        raise ValueError(f"{name}_{suffix}.txt is missing; {name} needs it")
    if values.size == 0:
        values = values.reshape(0, columns)
    if values.shape[1] != columns:
        raise ValueError(f"{name}_{suffix}.txt must have {columns} numbers a line, got {values.shape[1]}")
    return values


def _numbers(name: str, opener: Opener, suffix: str, kind: type) -> np.ndarray | None:
    """The file as an array [lines, columns]; None where there is no such file."""
    import pandas

    content = opener(suffix)
    if content is None:
        return None
    try:
        table = pandas.read_csv(io.BytesIO(content), header=None, dtype=kind, skipinitialspace=True)
    except pandas.errors.EmptyDataError:
        return np.empty((0, 1), dtype=kind)
    except (ValueError, pandas.errors.ParserError) as error:
        raise ValueError(f"{name}_{suffix}.txt is not a table of numbers ({str(error).splitlines()[0]})") from error
    return table.to_numpy()
