"""S3-Rec's pre-training: its four losses equal their formulas, and SASRec goes on from its weights."""

import dataclasses
import itertools
import json
import math
from typing import Any

import pytest
import torch
from handed_over import Keeps, Needed
from interrupted import killed_and_resumed

from benchmarks.sequential_recommendation import batches, s3rec, sasrec
from benchmarks.sequential_recommendation.config import Pretrain, Train
from benchmarks.sequential_recommendation.tables import PAPER
from contrastbench.data.interactions import gensim_words
from contrastbench.encoders.sequences import sequence_encoder
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = {cell.method: cell for cell in PAPER.cells("main", "smoke", [0])}
(RUN,) = CELLS["S3-Rec"].runs
TINY: Pretrain = RUN.needs["pretrain"].config
THEN: Train = RUN.config
WITHOUT_ATTRIBUTES = {"aap": 0.0, "map": 0.0}


def pretrained(config: Pretrain, *, seed: int = 0, checkpoint: Checkpoint | None = None, log: Log | None = None):
    return s3rec.pretrain(config, seed=seed, device="cpu", checkpoint=checkpoint or Keeps(), log=log or Log())


def artefact(config: Pretrain, seed: int = 0) -> dict[str, Any]:
    checkpoint = Keeps()
    pretrained(config, seed=seed, checkpoint=checkpoint)
    return checkpoint.kept


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return artefact(TINY)


def model(has: torch.Tensor | None = None, items: int = 9) -> s3rec.Pretraining:
    encoder = sequence_encoder(items, 4, width=8, rng=generator(0, "weights"))
    made = s3rec.Pretraining(encoder, has, generator(0, "maps")).double().eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "norm" not in name:
                weight.mul_(10)
    return made


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


ROWS = torch.tensor([[0, 3, 4, 5], [0, 0, 0, 7]])
MASKED = torch.tensor([[0, 10, 4, 10], [0, 0, 0, 10]])
NEGATIVES = torch.tensor([[1, 2, 2, 1], [1, 9, 9, 9]])
HIDDEN, SHOWN = [(0, 1), (0, 3), (1, 3)], [(0, 2)]


def loss(config: Pretrain, made: s3rec.Pretraining, **inputs: torch.Tensor) -> float:
    config = dataclasses.replace(config, pieces=1)
    return s3rec.loss_of(config, made)(**{f"{name}0": each for name, each in inputs.items()}).item()


def test_the_loss_of_hidden_items_equals_its_formula():
    made = model()
    states = made.maps["mip"](made.encoder(MASKED, causal=False)).tolist()
    items = made.encoder.items.weight.tolist()
    total = 0.0
    for row, place in HIDDEN:
        right, wrong = (
            sigmoid(dot(states[row][place], items[int(numbers[row, place])])) for numbers in (ROWS, NEGATIVES)
        )
        total -= math.log(sigmoid(right - wrong))
    config = dataclasses.replace(TINY, aap=0.0, mip=0.7, map=0.0, sp=0.0)
    assert loss(config, made, main=ROWS, masked=MASKED, negative=NEGATIVES) == pytest.approx(0.7 * total)


@pytest.mark.parametrize(("weights", "places"), [({"aap": 0.3, "map": 0.0}, SHOWN), ({"aap": 0.0, "map": 0.6}, HIDDEN)])
def test_the_losses_of_attributes_equal_their_formulas(weights, places):
    has = torch.zeros(11, 5, dtype=torch.bool)
    for item, attribute in ((3, 1), (3, 4), (4, 2), (5, 1), (7, 3), (7, 4)):
        has[item, attribute] = True
    made = model(has)
    name = "map" if weights["map"] else "aap"
    states = made.maps[name](made.encoder(MASKED, causal=False)).tolist()
    total = 0.0
    for row, place in places:
        for attribute, weight in enumerate(made.attributes.weight.tolist()):
            chance = sigmoid(dot(states[row][place], weight))
            total -= math.log(chance if has[ROWS[row, place], attribute] else 1 - chance)
    config = dataclasses.replace(TINY, mip=0.0, sp=0.0, **weights)
    assert loss(config, made, main=ROWS, masked=MASKED) == pytest.approx(max(weights.values()) * total, rel=1e-5)


def test_the_loss_of_hidden_runs_equals_its_formula():
    made = model()
    context = torch.tensor([[0, 3, 10, 5], [1, 10, 10, 4]])
    segment = torch.tensor([[0, 10, 4, 10], [10, 2, 3, 10]])
    other = torch.tensor([[0, 10, 9, 10], [10, 6, 1, 10]])
    around, inside, foreign = (made.encoder(rows, causal=False)[:, -1] for rows in (context, segment, other))
    around = made.maps["sp"](around)
    scores = [((around * each).sum(dim=1)).tolist() for each in (inside, foreign)]
    total = -sum(math.log(sigmoid(sigmoid(right) - sigmoid(wrong))) for right, wrong in zip(*scores, strict=True))
    config = dataclasses.replace(TINY, aap=0.0, mip=0.0, map=0.0, sp=0.5)
    inputs = {"main": context, "context": context, "segment": segment, "other": other}
    assert loss(config, made, **inputs) == pytest.approx(0.5 * total)


def test_the_loss_is_the_weighted_sum_of_its_parts_in_any_number_of_pieces():
    made = s3rec.build(TINY, task := s3rec.load_prefixes(TINY), 0, Log()).double().eval()
    losses = {}
    for pieces in (1, 3):
        config = dataclasses.replace(TINY, pieces=pieces)
        inputs = dataclasses.replace(task, config=config).inputs(torch.arange(24), generator(0, "augmentation"))
        losses[pieces] = s3rec.loss_of(config, made)(**inputs).item()
        names = ("aap", "mip", "map", "sp")
        alone = [{**dict.fromkeys(names, 0.0), name: getattr(config, name)} for name in names]
        parts = [s3rec.loss_of(dataclasses.replace(config, **only), made)(**inputs).item() for only in alone]
        assert losses[pieces] == pytest.approx(sum(parts), rel=1e-5) and min(parts) > 0
    assert losses[1] == pytest.approx(losses[3])


def test_prefixes_end_at_each_training_item_of_the_last_places():
    task = s3rec.load_prefixes(TINY)
    rows = iter(task.prefixes.tolist())
    for sequence in task.data.sequences:
        training = sequence[:-2][-TINY.longest :].tolist()
        for end in range(1, len(training) + 1):
            assert next(rows) == [0] * (TINY.longest - end) + training[:end]
    assert next(rows, None) is None


LONG = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0, 0, 9], [0, 0, 0, 0, 0, 0, 7, 8]])


def test_the_last_item_is_always_hidden_and_the_others_as_often_as_told():
    made = torch.stack([s3rec.hide(LONG, 0.2, 99, generator(seed, "augmentation")) for seed in range(300)])
    assert (made[:, :, -1] == 99).all() and ((made == LONG) | (made == 99)).all() and (made[:, LONG == 0] == 0).all()
    assert (made[:, 0, 2:-1] == 99).double().mean().item() == pytest.approx(0.2, abs=0.04)


def test_negatives_are_all_numbers_but_the_rows_own_and_padding():
    drawn = torch.cat([s3rec.others(LONG, 10, generator(seed, "augmentation")) for seed in range(40)])
    assert set(drawn[0::3].flatten().tolist()) == {7, 8, 9, 10}
    assert set(drawn[1::3].flatten().tolist()) == set(range(1, 11)) - {9}


def test_a_hidden_run_the_run_itself_and_another_run_of_its_length():
    everything = torch.arange(20, 40)
    seen = set()
    for seed in range(200):
        context, segment, other = s3rec.segments(LONG, everything, 99, generator(seed, "augmentation"))
        assert all(torch.equal(each[1], LONG[1]) for each in (context, segment, other)), "one item is itself"
        hidden = context[0] == 99
        places = torch.nonzero(hidden).flatten().tolist()
        assert places == list(range(places[0], places[-1] + 1)) and 1 <= len(places) <= 3
        assert torch.equal(segment[0][hidden], LONG[0][hidden]) and (segment[0][~hidden][2:] == 99).all()
        run = other[0][hidden].tolist()
        assert run == list(range(run[0], run[0] + len(places))) and run[0] >= 20 and run[-1] < 40
        assert all((each[0, :2] == 0).all() and (each[2] == 99).sum() == 1 for each in (context, segment, other))
        seen.add((places[0], len(places)))
    assert seen == {(first, count) for count in (1, 2, 3) for first in range(2, 9 - count)}


def test_words_have_their_first_letter_and_their_length_as_attributes():
    words = gensim_words()
    task = s3rec.load_prefixes(TINY)
    made = s3rec.read_attributes("gensim_sequences", task.data.items)
    assert len(made.has) == task.data.items + 2 and (made.has[1:-1].sum(dim=1) == 2).all() and not made.has[:, 0].any()
    for one, other in itertools.combinations(range(1, 40), 2):
        alike = (words[one - 1][0] == words[other - 1][0]) + (len(words[one - 1]) == len(words[other - 1]))
        assert (made.has[one] & made.has[other]).sum() == alike


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("1 1 2 3 4 1\n2 2 3 1 4 2\n3 4 3 2 1 4\n")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    return tmp_path


def test_a_file_of_attributes_beside_the_sequences_is_read(own_data):
    listed = {"1": [2], "3": [5, 2], "4": [], "9": [7]}  # item 2 is left out, item 9 does not occur
    (own_data / "few_item2attributes.json").write_text(json.dumps(listed))
    made = s3rec.read_attributes("few", 4)
    assert made.has.nonzero().tolist() == [[1, 2], [3, 2], [3, 5]] and made.has.shape == (6, 6)
    log = Log()
    config = dataclasses.replace(TINY, dataset="few", users=0, batch=8, pieces=1)
    pretrained(config, log=log)
    assert set(log.data_sha256) == {"few", "few_item2attributes.json"}
    assert log.data_sha256["few_item2attributes.json"] == made.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"attributes of 'few' not found in .*looked for recsys/seq/few_item2attributes.json; data/ of RUCAIBox"),
        ("[1]", "few_item2attributes.json must be one object like .*: it is no object"),
        ('{"1": [0]}', "an attribute must be in .1, 65536., got 0"),
        ('{"1": ["a"]}', "an attribute must be in .1, 65536., got 'a'"),
        ('{"0": [1]}', "item numbers begin with 1, since 0 is padding; got 0"),
        ('{"7": [1]}', "has no attribute of the items 1 to 4"),
    ],
)
def test_attributes_that_are_missing_or_damaged_get_one_line(own_data, text, message):
    if text is not None:
        (own_data / "few_item2attributes.json").write_text(text)
    config = dataclasses.replace(TINY, dataset="few", users=0, batch=8, pieces=1)
    with pytest.raises(ValueError, match=message) as caught:
        pretrained(config)
    assert "\n" not in str(caught.value)
    pretrained(dataclasses.replace(config, **WITHOUT_ATTRIBUTES))


def test_no_weight_at_all_gets_one_line():
    with pytest.raises(ValueError, match="one of the weights aap, mip, map and sp must be above 0"):
        pretrained(dataclasses.replace(TINY, mip=0.0, sp=0.0, **WITHOUT_ATTRIBUTES))


@pytest.mark.parametrize("change", [{}, WITHOUT_ATTRIBUTES], ids=["all losses", "MIP + SP"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(change):
    config = dataclasses.replace(TINY, **change)
    one, same, other = (artefact(config, seed)["encoder"] for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["items.weight"], other["items.weight"])


def test_attributes_change_what_is_learned_and_the_loss_falls():
    config = dataclasses.replace(TINY, epochs=3, learning_rate=1e-2)
    losses: list[float] = []
    log = Log(watch=lambda line: losses.append(line["loss"]) if "loss" in line else None)
    pretrained(config, checkpoint=(checkpoint := Keeps()), log=log)
    assert len(losses) == 3 and losses[0] > losses[1] > losses[2]
    without = artefact(dataclasses.replace(config, **WITHOUT_ATTRIBUTES))
    assert not torch.equal(checkpoint.kept["encoder"]["items.weight"], without["encoder"]["items.weight"])


def test_an_interrupted_pre_training_ends_as_an_undisturbed_one(tmp_path):
    config = dataclasses.replace(TINY, epochs=3)

    def attempt(log: Log) -> Any:
        checkpoint = Keeps(tmp_path, log, every_seconds=0)
        return pretrained(config, checkpoint=checkpoint, log=log), checkpoint.kept["encoder"]

    epochs, (metrics, weights) = killed_and_resumed(attempt, tmp_path, 1)
    whole = Keeps()
    assert epochs == [1, 2] and metrics == pretrained(config, checkpoint=whole)
    assert all(torch.equal(weights[name], whole.kept["encoder"][name]) for name in weights)


def test_an_interrupted_run_from_pre_trained_weights_ends_as_an_undisturbed_one(tmp_path, kept):
    config = dataclasses.replace(THEN, epochs=4, patience=4)

    def attempt(log: Log) -> dict[str, Any]:
        checkpoint = Needed({"pretrain": kept}, tmp_path, log, every_seconds=0)
        return sasrec.train(config, seed=0, device="cpu", checkpoint=checkpoint, log=log)

    epochs, metrics = killed_and_resumed(attempt, tmp_path, 2)
    whole = sasrec.train(config, seed=0, device="cpu", checkpoint=Needed({"pretrain": kept}), log=Log())
    assert epochs[0] == 2 and metrics == whole


def test_sasrec_goes_on_from_the_pre_trained_weights(kept, monkeypatch):
    begun: list[dict[str, torch.Tensor]] = []
    make = sasrec.training_step

    def noted(config, encoder, device):
        begun.append({name: value.clone() for name, value in encoder.state_dict().items()})
        return make(config, encoder, device)

    monkeypatch.setattr(sasrec, "training_step", noted)
    for config in (THEN, dataclasses.replace(THEN, start="random")):
        sasrec.train(config, seed=0, device="cpu", checkpoint=Needed({"pretrain": kept}), log=Log())
    assert all(torch.equal(begun[0][name], kept["encoder"][name]) for name in begun[0])
    assert not torch.equal(begun[1]["items.weight"], kept["encoder"]["items.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 16}, r"items.weight is \(\d+, 8\) there and \(\d+, 16\) here"),
        ({"layers": 3}, "layers.2.attention_norm.bias is missing there and"),
    ],
)
def test_weights_of_another_size_get_one_line(kept, change, message):
    config = dataclasses.replace(THEN, **change)
    with pytest.raises(ValueError, match=message) as caught:
        sasrec.train(config, seed=0, device="cpu", checkpoint=Needed({"pretrain": kept}), log=Log())
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="this run needs no run called 'pretrain'"):
        sasrec.train(THEN, seed=0, device="cpu", checkpoint=Checkpoint(), log=Log())


def test_every_seed_has_its_own_pre_training_for_as_long_as_the_authors_went_on_from():
    epochs, runs = {}, set()
    for cell in PAPER.cells("main", "paper"):
        if cell.method == "S3-Rec":
            for run in cell.runs:
                need = run.needs["pretrain"]
                assert need.seed == run.seed and need.dataset == run.dataset
                epochs[run.dataset] = need.config.epochs
                runs.add(need.key)
    assert epochs == {"LastFM": 150, "Beauty": 150, "Toys": 150, "Sports": 100, "Yelp": 100}
    assert len(runs) == 25


def test_only_pre_training_differs_between_the_two_methods():
    (without,) = CELLS["S3-Rec, MIP + SP"].runs
    assert without.config == RUN.config == dataclasses.replace(CELLS["SASRec"].runs[0].config, start="pretrain")
    assert without.needs["pretrain"].config == dataclasses.replace(TINY, **WITHOUT_ATTRIBUTES)
