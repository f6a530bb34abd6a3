"""Sets of labelled graphs: the TU collection's, and any folder or zip in the TU text format."""

from pathlib import Path

from contrastbench.data.kinds import Copy, DataSet, Kind

TU = "the TU collection, through PyTorch Geometric; or tu/NAME/raw or tu/NAME.zip in the data root"
TU_TERMS = "none stated; the TU collection asks to cite Morris et al. 2020 and the papers that its page lists"
TU_FILES = "the collection's files"
REBUILT = "text files rebuilt from adjacency lists: the same graphs, in the order of that source"

# The TU sets: size, content sha256 of a known copy, and which copy that is. MUTAG comes with the suite.
TU_SETS = {
    "MUTAG": (
        "188 graphs, 2 classes, 17.9 nodes",
        "0643c4ea2a8c1f5181bed08e8b2ab981bec47ef9f0a0b8d298bbcc8db4f7d37f",
        TU_FILES,
    ),
    "PTC_MR": (
        "344 graphs, 2 classes, 14.3 nodes",
        "6b638d665f7ed008117d70291879715c9f3150bf2c2d8e0133312df5791b33b7",
        TU_FILES,
    ),
    "ENZYMES": (
        "600 graphs, 6 classes, 32.6 nodes",
        "4c6c21bac7f18bd2ff188591722155ebe7d8370511b991ad5ff371e91b5366c3",
        TU_FILES,
    ),
    "PROTEINS": (
        "1,113 graphs, 2 classes, 39.1 nodes",
        "34461e6d75af37647c0c7862d9694c83a9a8c25b21e33b7b693b77853de25e4b",
        TU_FILES,
    ),
    "NCI1": (
        "4,110 graphs, 2 classes, 29.9 nodes",
        "2f547910ad5d138f54d235ebb8de1b01d18bdbbf4c108cc0839970e87d091185",
        TU_FILES,
    ),
    "NCI109": (
        "4,127 graphs, 2 classes, 29.7 nodes",
        "969d547ecd8d4b3fea0114a3264bd0363c385824733e1fd65f6fe9d67f65e61b",
        TU_FILES,
    ),
    "DD": (
        "1,178 graphs, 2 classes, 284.3 nodes",
        "aa25b9d0f06db57894bc3caf13a032d2a87450a9e1a5fa32ae78fa506cc3f5e2",
        REBUILT,
    ),
    "IMDB-BINARY": (
        "1,000 graphs, 2 classes, 19.8 nodes, no labels",
        "8f49ed94d38d37d55fc3d95f3fed55f2e6c3902e12d443d8b034fd35a414c4a6",
        TU_FILES,
    ),
    "IMDB-MULTI": (
        "1,500 graphs, 3 classes, 13.0 nodes, no labels",
        "927ff738f64408adac7370f21b92657ed4f20c66995a0981330408451bcdc78a",
        TU_FILES,
    ),
    "REDDIT-BINARY": (
        "2,000 graphs, 2 classes, 429.6 nodes, no labels",
        "a9ee7469c705a862c511109fbdff6fe4ab38f2205d95f02bd980605457c7dde8",
        REBUILT,
    ),
    "REDDIT-MULTI-5K": ("4,999 graphs, 5 classes, 508.5 nodes, no labels", "", ""),
    "COLLAB": (
        "5,000 graphs, 3 classes, 74.5 nodes, no labels",
        "6b6ec458f4d0f6098cec6c0338d55d4722b9e2a411f9e25f5f35566e68026d34",
        REBUILT,
    ),
}


def own_graphs(root: Path) -> list[DataSet]:
    """Every folder or zip in the TU text format that the data root has, by name."""
    from contrastbench.data import tu  # imports NumPy, which the catalogue does without

    return [
        DataSet(name, "graphs", "your own", str(place), "yours to know") for name, place in tu.folders(root).items()
    ]


def is_here(name: str, root: Path) -> bool:
    from contrastbench.data import tu

    return name in tu.folders(root)


def _declare(name: str, size: str, sha256: str, copy: str) -> DataSet:
    known = {sha256: Copy(copy)} if sha256 else {}
    embedded = name == "MUTAG"
    return DataSet(
        name, "graphs", size, f"comes with the suite: {TU_FILES}" if embedded else TU, TU_TERMS, embedded, known
    )


DATA_SETS = tuple(_declare(name, *described) for name, described in TU_SETS.items())

KIND = Kind("graphs", "contrastbench.data.graphs:load_graphs", DATA_SETS, find_own=own_graphs, is_here=is_here)
