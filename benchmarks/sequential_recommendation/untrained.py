"""What is tested without training: weights that authors released, as they are in our encoder, and counts.

The weights are kept for runs that go on from them.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.next_item import Transitions, popularity
from benchmarks.sequential_recommendation.batches import read_interactions
from benchmarks.sequential_recommendation.config import Count, Released
from contrastbench.data import data_root
from contrastbench.data.interactions import Split
from contrastbench.encoders.sequences import SequenceEncoder
from contrastbench.evaluation.ranking import RULES, rank_next_items, ranking_metrics
from contrastbench.runner import Checkpoint, Log

ORIGIN = "output/ or reproduce/ of salesforce/ICLRec, YChen1993/CoSeRec and RUCAIBox/CIKM2020-S3Rec have such files"
# The names of S3-Rec's modules.py, which CoSeRec and ICLRec took over, and ours.
OUTSIDE = {"item_embeddings": "items", "position_embeddings": "places", "LayerNorm": "norm"}
IN_A_LAYER = {
    "attention.dense": "output",
    "attention.LayerNorm": "attention_norm",
    "intermediate.dense_1": "wider",
    "intermediate.dense_2": "narrower",
    "intermediate.LayerNorm": "inner_norm",
}
OF_PRE_TRAINING = ("attribute_embeddings", "aap_norm", "mip_norm", "map_norm", "sp_norm")  # which tests do not use


def rank_by_weights(config: Released, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Ranks the test items by the weights. Nothing is trained, and nothing is random."""
    data = read_interactions(config.dataset)
    log.data(config.dataset, data.sha256)
    encoder = read_weights(config, data.items, log).to(device)
    log.selected_by("by the weights' authors")
    ranks: dict[str, Tensor] = {}
    metrics = rank_next_items(encoder, Split(data), "test", RULES, device, ranks)
    checkpoint.keep(encoder=encoder, ranks=ranks)
    return metrics


def read_weights(config: Released, items: int, log: Log) -> SequenceEncoder:
    """The file's encoder, as large as the file says.

    Raises:
        ValueError: there is no such file, or it holds something else; in one line.
    """
    path = data_root() / "recsys" / "weights" / f"{config.weights}.pt"
    if not path.is_file():
        raise ValueError(f"weights {config.weights!r} not found in {data_root()} (looked for {path}; {ORIGIN})")
    log.data(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    theirs = _tensors(path)
    try:
        layers = len({name.split(".")[2] for name in theirs if name.startswith("item_encoder.layer.")})
        ours = _renamed(theirs, layers)
        sizes = {"width": ours["items.weight"].shape[1], "layers": layers, "heads": config.heads}
        encoder = SequenceEncoder(len(ours["items.weight"]) - 2, len(ours["places.weight"]), dropout=0.0, **sizes)
        encoder.load_state_dict(ours)
    except KeyError as error:
        raise ValueError(f"{path} lacks {error.args[0]}, which S3-Rec's encoder has") from None
    except (RuntimeError, IndexError, ValueError) as error:
        raise ValueError(f"{path} holds other shapes than S3-Rec's encoder: {' '.join(str(error).split())}") from None
    if encoder.count != items:
        raise ValueError(f"{path} is of a data set with {encoder.count} items; {config.dataset} has {items}")
    return encoder


def _tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name; nothing else is read from the file, so that it cannot run code."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} is no file of tensors as torch.save writes it ({first[:120]})") from None
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        raise ValueError(f"{path} must hold a state dict, tensors by name; it holds a {type(state).__name__}")
    return state


def _renamed(theirs: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Our encoder's state dict. Queries, keys and values are one matrix here.

    Raises:
        KeyError: a tensor is missing.
    """
    left = dict(theirs)
    ours = {f"{new}.weight": left.pop(f"{old}.weight") for old, new in OUTSIDE.items()}
    ours["norm.bias"] = left.pop("LayerNorm.bias")
    for layer in range(layers):
        old, new = f"item_encoder.layer.{layer}", f"layers.{layer}"
        for kind in ("weight", "bias"):
            parts = [left.pop(f"{old}.attention.{name}.{kind}") for name in ("query", "key", "value")]
            ours[f"{new}.query_key_value.{kind}"] = torch.cat(parts)
            ours |= {f"{new}.{mine}.{kind}": left.pop(f"{old}.{name}.{kind}") for name, mine in IN_A_LAYER.items()}
    if unknown := [name for name in left if not name.startswith(OF_PRE_TRAINING)]:
        raise ValueError(f"it has {unknown[0]} as well")
    return ours


# --------------------------------------------------------------------------------------------------------- by counts


def count(config: Count, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Ranks by counts over the sequences. Computed on the CPU."""
    data = read_interactions(config.dataset).first(config.users)
    log.data(config.dataset, data.sha256)
    log.selected_by("nothing to select")
    split = Split(data)
    histories, targets = split.questions("test")
    counted = {"training": split.training, "before_test": histories, "all": data.sequences}[config.actions]
    if config.method == "popularity":
        popular = popularity(counted, data.items)

        def scores_of(users: np.ndarray) -> Tensor:
            return popular.repeat(len(users), 1)
    else:
        after = Transitions(counted, data.items)

        def scores_of(users: np.ndarray) -> Tensor:
            return after.scores(np.array([histories[user][-1] for user in users]))

    ranks: dict[str, Tensor] = {}
    metrics = ranking_metrics(scores_of, histories, targets, ranks=ranks)
    checkpoint.keep(ranks=ranks)
    return metrics
