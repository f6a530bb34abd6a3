"""Graphs from text files, folders and zips; what broken files say; and batches that store every distinct node once."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from contrastbench.data import catalogue, tu
from contrastbench.data import graphs as graphs_module
from contrastbench.data.graph_batches import batches, colours
from contrastbench.data.graphs import load_graphs

# Two triangles joined by nothing, a path of three, a single node, each edge in both directions.
EDGES = [(1, 2), (2, 1), (2, 3), (3, 2), (1, 3), (3, 1), (4, 5), (5, 4), (5, 6), (6, 5)]
TINY = {"A": EDGES, "graph_indicator": [1, 1, 1, 2, 2, 2, 3], "graph_labels": [1, -1, 1]}


def write(folder: Path, name: str = "TINY", **changes) -> Path:
    """A data set in the TU text format; a file set to None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, lines in {**TINY, **changes}.items():
        if lines is not None:
            text = "".join(
                ", ".join(map(str, line)) + "\n" if isinstance(line, tuple) else f"{line}\n" for line in lines
            )
            (folder / f"{name}_{suffix}.txt").write_text(text)
    return folder


def test_mutag_comes_with_the_suite(tmp_path):
    mutag = load_graphs("MUTAG", tmp_path)
    assert (len(mutag), mutag.classes, mutag.features.shape[1]) == (188, 2, 7)
    assert mutag.features_from == "node labels"
    assert mutag.sha256 == "0643c4ea2a8c" + mutag.sha256[12:]


def test_mutag_equals_what_pytorch_geometric_reads(tmp_path):
    from torch_geometric.io import read_tu_data

    data, slices, _ = read_tu_data(str(tu.FILES / "MUTAG"), "MUTAG")
    mutag = load_graphs("MUTAG", tmp_path)
    assert torch.equal(mutag.features, data.x)
    assert torch.equal(mutag.labels, data.y)
    theirs = data.edge_index + slices["x"][:-1].repeat_interleave(slices["edge_index"].diff())
    assert {tuple(edge) for edge in theirs.T.tolist()} == {tuple(edge) for edge in mutag.edges.T.tolist()}


@pytest.mark.parametrize("place", ["TINY/raw", "TINY", "tu/TINY/raw", "tu/TINY/TINY/raw"])
def test_any_folder_in_the_tu_format_is_read_by_name(tmp_path, place):
    write(tmp_path / place)
    tiny = load_graphs("TINY", tmp_path)
    assert tiny.first_node.tolist() == [0, 3, 6, 7]
    assert tiny.labels.tolist() == [1, 0, 1]
    assert tiny.features_from == "one-hot degree"
    assert tiny.features.argmax(1).tolist() == [2, 2, 2, 1, 2, 1, 0]


def test_a_zip_with_lzma_and_double_slashes_is_read(tmp_path):
    files = write(tmp_path / "loose")
    with zipfile.ZipFile(tmp_path / "TINY.zip", "w", compression=zipfile.ZIP_LZMA) as archive:
        for file in files.iterdir():
            archive.write(file, f"TINY//{file.name}")
    assert load_graphs("TINY", tmp_path).sha256 == load_graphs("TINY", write(tmp_path / "b" / "TINY").parent).sha256


def test_edges_listed_twice_and_self_loops_count_once_and_not(tmp_path):
    plain = load_graphs("TINY", write(tmp_path / "a" / "TINY").parent)
    doubled = load_graphs("TINY", write(tmp_path / "b" / "TINY", A=[*EDGES, *EDGES, (7, 7)]).parent)
    assert torch.equal(plain.edges, doubled.edges)


def test_degrees_from_a_thousand_on_are_standardised(tmp_path, monkeypatch):
    monkeypatch.setattr(graphs_module, "LARGEST_ONE_HOT_DEGREE", 2)
    tiny = load_graphs("TINY", write(tmp_path / "TINY").parent)
    assert tiny.features_from == "standardised degree"
    assert tiny.features.mean().abs() < 1e-6 and abs(tiny.features.std() - 1) < 1e-6


def test_constant_features_are_ones(tmp_path):
    tiny = load_graphs("TINY", write(tmp_path / "TINY").parent, features="constant")
    assert tiny.features.tolist() == [[1.0]] * 7


def test_graphs_without_edges_are_graphs(tmp_path):
    tiny = load_graphs("TINY", write(tmp_path / "TINY", A=[]).parent)
    (batch,) = batches(tiny, [0, 1, 2], 3, depth=3)
    assert tiny.edges.shape == (2, 0) and len(batch.count) == 1 and batch.count.tolist() == [7]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": None}, "TINY_A.txt is missing"),
        ({"graph_labels": None}, "TINY_graph_labels.txt is missing"),
        ({"graph_labels": [1, 2]}, "TINY_graph_indicator.txt has 3 graphs, TINY_graph_labels.txt has 2"),
        ({"graph_labels": [1, 2, 1, 2]}, "graph 4 of TINY has no nodes"),
        ({"node_labels": [1, 2]}, "TINY_node_labels.txt has 2 lines, TINY_graph_indicator.txt has 7 nodes"),
        ({"A": [*EDGES, (7, 8)]}, "TINY_A.txt:11 has the edge 7, 8; TINY_graph_indicator.txt has 7 nodes"),
        ({"A": [(0, 1), *EDGES]}, "TINY_A.txt:1 has the edge 0, 1; TINY_graph_indicator.txt has 7 nodes"),
        ({"A": [*EDGES, (3, 4)]}, "TINY_A.txt:11 has the edge 3, 4 between two graphs"),
        (
            {"A": [*EDGES[:4], *EDGES[5:]]},
            "TINY_A.txt:5 has the edge 3, 1 in one direction; each must be",
        ),
        (
            {"node_labels": [0, 3_000_000_000, *range(5)]},
            "TINY_node_labels.txt:2 has the label 3000000000; labels",
        ),
        ({"node_labels": [0, 1, -(2**62), *range(4)]}, "labels must be less than 10,000 above the smallest, -4611"),
        ({"node_attributes": [1.0, 2.0, "nan", *range(4)]}, "TINY_node_attributes.txt:3 has an empty field or nan"),
        ({"node_attributes": [(1, 2), (3, ""), *[(1, 2)] * 5]}, "TINY_node_attributes.txt:2 has an empty field or nan"),
        ({"node_attributes": ["inf", *range(6)]}, "TINY_node_attributes.txt:1 has inf; single precision needs finite"),
        (
            {"node_attributes": [0, "-1e300", *range(5)]},
            "TINY_node_attributes.txt:2 has -1e+300; single precision",
        ),
        ({"node_attributes": []}, "TINY_node_attributes.txt has 0 lines, TINY_graph_indicator.txt has 7 nodes"),
        ({"A": [1, 2]}, "TINY_A.txt must have 2 numbers a line, got 1"),
        ({"graph_indicator": [2, 1, 1]}, "must count graphs upwards"),
        ({"graph_labels": ["a", "b", "c"]}, "TINY_graph_labels.txt is not a table of numbers"),
        ({"graph_labels": [1, 1, 1]}, "all graphs of TINY are of one class"),
    ],
)
def test_a_broken_data_set_says_what_is_wrong_in_one_line(tmp_path, changes, message):
    write(tmp_path / "TINY", **changes)
    with pytest.raises(ValueError, match="^[^\n]*$") as error:
        load_graphs("TINY", tmp_path)
    assert message in str(error.value)


def test_a_known_name_with_other_statistics_is_refused(tmp_path):
    write(tmp_path / "MUTAG", name="MUTAG")
    with pytest.raises(ValueError, match="MUTAG should have 188 graphs.*these files have 3"):
        load_graphs("MUTAG", tmp_path)


def test_an_unknown_name_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match="no graphs 'NOWHERE' in .*NOWHERE.zip"):
        load_graphs("NOWHERE", tmp_path)


def packed(tmp_path: Path, method: int) -> bytes:
    with zipfile.ZipFile(tmp_path / "TINY.zip", "w", compression=method) as archive:
        for suffix in TINY:
            archive.write(write(tmp_path / "loose") / f"TINY_{suffix}.txt", f"TINY/TINY_{suffix}.txt")
    return (tmp_path / "TINY.zip").read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_is_damaged_anywhere_gets_one_line_and_hides_no_other_set(tmp_path, method):
    whole = packed(tmp_path, method)
    write(tmp_path / "OTHER", name="OTHER")
    damages = [whole[:10], whole[: len(whole) // 2], whole[:-5]]
    for place in range(0, len(whole), 29):
        damages.append(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
    refused = 0
    for content in damages:
        (tmp_path / "TINY.zip").write_bytes(content)
        assert "OTHER" in [own.name for own in catalogue.find_own(tmp_path)]
        assert len(catalogue.load("OTHER", tmp_path)) == 3
        try:
            load_graphs("TINY", tmp_path)
        except ValueError as error:
            refused += 1
            assert "TINY" in str(error) and "\n" not in str(error)
    assert refused > len(damages) / 3


def test_a_damaged_zip_is_listed_and_named_when_it_is_loaded(tmp_path):
    (tmp_path / "TINY.zip").write_bytes(b"PK\x03\x04 and no more")
    assert [own.name for own in catalogue.find_own(tmp_path)] == ["TINY"]
    with pytest.raises(ValueError, match=r"TINY\.zip is not a whole zip file"):
        load_graphs("TINY", tmp_path)


def test_what_a_mac_adds_to_a_zip_is_no_data(tmp_path):
    packed(tmp_path, zipfile.ZIP_STORED)
    with zipfile.ZipFile(tmp_path / "TINY.zip", "a") as archive:
        archive.writestr("__MACOSX/TINY/TINY_A.txt", b"\0\5\26\7")
        archive.writestr("__MACOSX/TINY/._TINY_A.txt", b"\0\5\26\7")
    assert len(load_graphs("TINY", tmp_path)) == 3


@pytest.mark.parametrize("name", ["mine[1]", "a*b", "x?", "[a-z]", "{c}"])
def test_a_name_may_have_any_character_of_a_pattern(tmp_path, name):
    write(tmp_path / "tu" / name / "raw", name=name)
    assert [own.name for own in catalogue.find_own(tmp_path)] == [name]
    assert len(load_graphs(name, tmp_path)) == 3


# ------------------------------------------------------------------------------------------------------- batches


def test_colours_are_those_of_refinement_by_hand(tmp_path):
    tiny = load_graphs("TINY", write(tmp_path / "TINY").parent, features="constant")
    by_hand = {0: [0] * 7, 1: [2, 2, 2, 1, 2, 1, 0], 2: [2, 2, 2, 1, 3, 1, 0]}  # a corner of a triangle is not a middle
    for depth, expected in by_hand.items():
        found = colours(tiny, depth)
        same = found[:, None] == found[None, :]
        assert np.array_equal(same, np.equal.outer(expected, expected))


def test_a_batch_holds_each_distinct_node_once_with_its_count(tmp_path):
    tiny = load_graphs("TINY", write(tmp_path / "TINY").parent)
    (batch,) = batches(tiny, [1, 0], 2, depth=3)
    assert sorted(batch.count.tolist()) == [1, 2, 3]  # middle, ends, corners
    assert batch.pool.matrix.to_dense().sum(1).tolist() == [3, 3]
    assert batch.adjacency.matrix.to_dense().sum(1).sort().values.tolist() == [2, 3, 3]


def test_every_graph_is_in_one_batch_and_a_last_single_graph_joins_the_one_before(tmp_path):
    mutag = load_graphs("MUTAG", tmp_path)
    order = np.random.default_rng(0).permutation(188)
    sizes = {depth: [len(b) for b in batches(mutag, order, 17, depth=depth)] for depth in (3, None)}
    assert sizes[3] == sizes[None] == [17] * 10 + [18]
    assert torch.cat([b.graphs for b in batches(mutag, order, 17, depth=2)]).tolist() == order.tolist()
    assert sum(b.count.sum() for b in batches(mutag, order, 17, depth=2)) == len(mutag.features)


def test_a_download_lands_where_it_is_looked_for(tmp_path, monkeypatch):
    """PyTorch Geometric leaves raw files in root/NAME/raw; the download itself is replaced."""
    import torch_geometric.datasets

    def fetch(root: str, name: str) -> None:
        write(Path(root) / name / "raw", name=name)

    monkeypatch.setattr(torch_geometric.datasets, "TUDataset", fetch)
    with pytest.raises(ValueError, match="no graphs 'TINY'"):
        load_graphs("TINY", tmp_path)
    assert len(load_graphs("TINY", tmp_path, download=True)) == 3


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    import torch_geometric.datasets

    def refuse(root: str, name: str) -> None:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(torch_geometric.datasets, "TUDataset", refuse)
    with pytest.raises(ValueError, match="^TINY could not be downloaded into .*: no route to host$"):
        load_graphs("TINY", tmp_path, download=True)
