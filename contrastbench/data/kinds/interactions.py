"""Sequences of items that users chose, in time order: what they are, where they come from, and under which terms."""

import os
from pathlib import Path

from contrastbench.data.kinds import GENSIM, Copy, DataSet, Kind

LAYOUT = "RUCAIBox/CIKM2020-S3Rec at 2a81540, as recsys/seq/{file}.txt or {file}.txt in the data root"
ML_1M = "salesforce/ICLRec at 2890e6c, data/ml-1m.txt as recsys/seq/ml-1m.txt, or RecBole's ml-1m.inter there"
TERMS = "none stated; the data come from {source}"
FILES = {
    "Sports": "Sports_and_Outdoors",
    "Toys": "Toys_and_Games",
    "ML-1M": "ml-1m",
}  # the other files are called like their sets

_SETS = {  # name -> size, source, content sha256
    "LastFM": (
        "1,090 users, 3,646 artists, 52,551 actions",
        "HetRec 2011 (Last.fm)",
        "cf452018aeb3a0b522aceb79a7aca2dae4c8baac6235278adc5d4dbf1f24d67b",
    ),
    "Beauty": (
        "22,363 users, 12,101 items, 198,502 actions",
        "Amazon reviews 2014, 5-core",
        "9c1a957d4ee50bd6f0cf2350fd1759e1e06b2b0484232fdbe0f13f458f408c9d",
    ),
    "Sports": (
        "35,598 users, 18,357 items, 296,337 actions",
        "Amazon reviews 2014, 5-core",
        "512444ee2ee4793eb6ca8b54310f8b2d385784495af70caae88467e1f980f101",
    ),
    "Toys": (
        "19,412 users, 11,924 items, 167,597 actions",
        "Amazon reviews 2014, 5-core",
        "aead3d8f3c34594cb8f4c74bd20742ca82e083827bb9cac8bc51dc2c8fa9ecc9",
    ),
    "Yelp": (
        "30,431 users, 20,033 places, 316,354 actions",
        "the Yelp open data set, 2019",
        "7ed1424894eac259af8102274057853cc53bec02ec7dda6d27c3855e0fdca617",
    ),
}

DATA_SETS = (
    DataSet(
        "gensim_sequences",
        "interactions",
        "550 documents as users, 6,419 words as items, 136,760 actions",
        "lee_background.cor and head500.noblanks.cor in the gensim package; words stand in for items",
        "gensim: LGPL-2.1; news: ABC Australia, for research (Lee et al. 2005); Wikipedia: CC BY-SA",
        embedded=GENSIM,
        downloaded=False,
    ),
    *(
        DataSet(
            name,
            "interactions",
            size,
            LAYOUT.format(file=FILES.get(name, name)),
            TERMS.format(source=source),
            known={sha256: Copy("the files of S3-Rec")},
            downloaded=False,
        )
        for name, (size, source, sha256) in _SETS.items()
    ),
    DataSet(
        "ML-1M",
        "interactions",
        "6,040 users, some 3,400 films, a million ratings",
        ML_1M,
        "research only, no redistribution, no commercial use; cite Harper and Konstan 2015",
        downloaded=False,
    ),
)


def places(name: str, root: Path) -> list[Path]:
    """Where a set's file is looked for, first to last."""
    file = FILES.get(name, name)
    folders = (root / "recsys" / "seq", root, root / name)
    return [folder / f"{file}.{ending}" for folder in folders for ending in ("txt", "inter")]


def own_interactions(root: Path) -> list[DataSet]:
    """Every file of the two layouts in the data root, told by its first line."""
    files = [path for folder in (root / "recsys" / "seq", root) for path in sorted(folder.glob("*.txt"))]
    files += [path for pattern in ("*.inter", "recsys/seq/*.inter", "*/*.inter") for path in root.glob(pattern)]
    known = {FILES.get(name, name) for name in (*_SETS, "ML-1M")}
    mine = {path.stem: path for path in files if path.stem not in known and _looks_right(path)}
    return [DataSet(name, "interactions", "your own", str(path), "yours to know") for name, path in mine.items()]


def _looks_right(path: Path) -> bool:
    if path.suffix == ".inter":
        return path.parent.name in (path.stem, "seq") or path in places(path.stem, path.parent)
    if not os.access(path, os.R_OK):
        return False
    with open(path, "rb") as file:
        first = file.readline(100_000).split()
    return len(first) > 1 and all(word.isdigit() for word in first)


def is_here(name: str, root: Path) -> bool:
    return any(path.is_file() for path in places(name, root))


KIND = Kind(
    "interactions",
    "contrastbench.data.interactions:load_interactions",
    DATA_SETS,
    find_own=own_interactions,
    is_here=is_here,
)
