"""Weights in the names of S3-Rec's code give our encoder's outputs; a damaged file gets one line."""

import dataclasses
import os

import pytest
import torch
from handed_over import Keeps

from benchmarks.sequential_recommendation import batches, untrained
from benchmarks.sequential_recommendation.config import Released
from benchmarks.sequential_recommendation.tables import PAPER
from contrastbench.encoders.sequences import sequence_encoder
from contrastbench.evaluation.ranking import RULES
from contrastbench.randomness import generator
from contrastbench.runner import Log

ITEMS = 7
CONFIG = Released("few", "Small")
ENCODER = sequence_encoder(ITEMS, 5, width=4, layers=2, rng=generator(0, "weights")).eval()


def theirs() -> dict[str, torch.Tensor]:
    """ENCODER's weights as S3-Rec's code would save them."""
    outside = {new: old for old, new in untrained.OUTSIDE.items()}
    inside = {new: old for old, new in untrained.IN_A_LAYER.items()}
    state = {}
    for name, value in ENCODER.state_dict().items():
        *place, part, kind = name.split(".")
        if not place:
            state[f"{outside[part]}.{kind}"] = value
        elif part == "query_key_value":
            for each, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[f"item_encoder.layer.{place[1]}.attention.{each}.{kind}"] = third
        else:
            state[f"item_encoder.layer.{place[1]}.{inside[part]}.{kind}"] = value
    return {**state, "attribute_embeddings.weight": torch.zeros(3, 4), "sp_norm.bias": torch.zeros(4)}


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("1 1 2 3 7\n2 2 3 4 1\n3 4 6 2 5\n")
    (tmp_path / "recsys" / "weights").mkdir(parents=True)
    torch.save(theirs(), tmp_path / "recsys" / "weights" / "Small.pt")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    return tmp_path


def run(config: Released = CONFIG, **more):
    return untrained.rank_by_weights(
        config, seed=0, device="cpu", checkpoint=more.get("checkpoint", Keeps()), log=Log()
    )


def test_the_encoder_of_the_file_is_the_one_that_was_saved(root):
    metrics = run(checkpoint=(checkpoint := Keeps()))
    assert {f"test_hr10_{rule}_percent" for rule in RULES} < metrics.keys()
    assert all(torch.equal(value, checkpoint.kept["encoder"][name]) for name, value in ENCODER.state_dict().items())
    rows = torch.tensor([[0, 1, 2, 3], [4, 6, 2, 5]])
    loaded = untrained.read_weights(CONFIG, ITEMS, Log()).eval()
    assert torch.equal(loaded(rows), ENCODER(rows))


class Code:
    def __reduce__(self):
        return os.mkdir, ("made_by_a_pickle",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "weights 'Small' not found in .*looked for .*Small.pt; output/ or reproduce/ of salesforce/ICLRec"),
        (b"not torch", "Small.pt is no file of tensors as torch.save writes it"),
        (Code(), "Small.pt is no file of tensors as torch.save writes it"),
        ([torch.zeros(2)], "Small.pt must hold a state dict, tensors by name; it holds a list"),
        (
            {**theirs(), "LayerNorm.bias": torch.zeros(5)},
            "Small.pt holds other shapes than S3-Rec's encoder: .*norm.bias",
        ),
        ({**theirs(), "head.weight": torch.zeros(5)}, "Small.pt holds other shapes .*: it has head.weight as well"),
        (
            {name: value for name, value in theirs().items() if "1.attention.key.bias" not in name},
            "Small.pt lacks item_encoder.layer.1.attention.key.bias, which S3-Rec's encoder has",
        ),
        (
            {**theirs(), "item_embeddings.weight": torch.zeros(12, 4)},
            "Small.pt is of a data set with 10 items; few has 7",
        ),
    ],
)
def test_weights_that_do_not_fit_get_one_line(root, content, message):
    path = root / "recsys" / "weights" / "Small.pt"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        run()
    assert "\n" not in str(caught.value) and not os.path.exists("made_by_a_pickle")


def test_heads_must_divide_the_width(root):
    with pytest.raises(ValueError, match="width must be a multiple of heads, got 4 and 3"):
        run(dataclasses.replace(CONFIG, heads=3))


def test_s3rec_goes_on_from_one_pre_training_of_its_authors_under_every_seed():
    (runs,) = {cell.runs for cell in PAPER.cells("released", "paper") if cell.dataset == "LastFM"}
    assert len(runs) == 5 and len({run.needs["pretrain"].key for run in runs}) == 1
    assert all(run.needs["pretrain"].stage == "released" for run in runs)
