"""The paper sequential_recommendation: tables run, runs repeat bit for bit, and a killed run ends as if it was not."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from handed_over import Keeps, Needed
from interrupted import killed_and_resumed
from kinds import kind_of

from baselines.next_item import Transitions, popularity
from benchmarks.sequential_recommendation import (
    batches,
    coserec,
    iclrec,
    s3rec,
    sasrec,
    tables,
    untrained,
)
from benchmarks.sequential_recommendation.config import Count, Pretrain, Train
from benchmarks.sequential_recommendation.tables import PAPER
from contrastbench.data import sequence_views as views
from contrastbench.encoders.sequences import SequenceEncoder, sequence_encoder
from contrastbench.evaluation import ranking
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.runner.rows import rows_shipped
from contrastbench.runner.vocabulary import SCALES, chain
from contrastbench.verdicts.published import read_published

TINY = tables.SMOKE

pytestmark = pytest.mark.usefixtures("one_thread")


def result(config: Any, *, seed: int = 0, checkpoint: Checkpoint | None = None, log: Log | None = None) -> dict:
    stage = {Train: sasrec.train, Count: untrained.count, Pretrain: s3rec.pretrain}[type(config)]
    return stage(config, seed=seed, device="cpu", checkpoint=checkpoint or Checkpoint(), log=log or Log())


def test_the_metrics_of_the_cells_are_those_that_the_runs_give():
    seen: dict[Any, dict[str, Any]] = {}
    for table in PAPER.tables:
        for cell in PAPER.cells(table, "smoke", [0]):
            (run,) = cell.runs
            kind = kind_of(run)
            if kind not in seen:
                artefacts = {}
                for name, need in run.needs.items():
                    result(need.config, checkpoint=(checkpoint := Keeps()))
                    artefacts[name] = checkpoint.kept
                seen[kind] = result(run.config, checkpoint=Needed(artefacts))
            assert cell.metric in seen[kind], cell.name
    assert len(seen) > 15


def test_every_scale_gives_cells_whose_runs_are_of_that_scale():
    for scale in SCALES:
        made = [cell for table in PAPER.tables for cell in PAPER.cells(table, scale)]
        assert {run.scale for run in chain(run for cell in made for run in cell.runs).values()} == {scale}
    (lastfm,) = {cell.runs for cell in PAPER.cells("negatives", "paper") if cell.method == "SASRec"}
    assert len(lastfm) == 10 and {run.protocol for run in lastfm} == {"published"}


def test_tables_share_runs():
    def keys(table):
        return {run.key for cell in PAPER.cells(table, "paper") for run in cell.runs}

    assert keys("rules") < keys("main") and len(keys("negatives") - keys("main")) == 10


def test_the_judged_numbers_are_confirmed_and_have_a_tenth_as_margin():
    numbers = read_published(PAPER.folder / "published.csv")
    judged = [number for number in numbers if number.dataset == "LastFM" and number.table == "main"]
    assert len(judged) == 18 and all(number.confirmed for number in judged)
    assert all(number.margin == pytest.approx(max(0.05, number.value / 10), abs=0.006) for number in judged)


CHANGES = [
    {},
    {"negatives": "untrained"},
    {"views": "cl4srec", "contrast": "hcl", "beta": 1.0},
    {"loss": "ce", "views": "duorec"},
    {"loss": "ce", "views": "duorec", "partner": "dropout"},
    {"loss": "ce", "views": "duorec", "partner": "us"},
    {"views": "coserec", "warm_up": 0},
    {"views": "coserec", "similar_by": "random"},
    {"views": "iclrec", "clusters": 5, "k_means": "continued"},
    {"views": "iclrec", "clusters": 5, "false_negatives": "left_out"},
    {"loss": "ce", "sequences": "prefixes", "users": 12, "selection": "mrr10_unmasked", "epochs": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_same_seed_gives_the_same_metrics_and_another_seed_others(change):
    config = dataclasses.replace(TINY, learning_rate=1e-2, **change)
    assert result(config) == result(config) != result(config, seed=1)


INTERRUPTED = [
    {},
    {"loss": "ce", "views": "duorec", "selection": "last"},
    {"views": "iclrec", "clusters": 5, "k_means": "continued"},
]


@pytest.mark.parametrize("change", INTERRUPTED, ids=str)
def test_an_interrupted_run_ends_as_an_undisturbed_one(change, tmp_path):
    config = dataclasses.replace(TINY, epochs=5, patience=2, learning_rate=1e-2, **change)

    def attempt(log: Log) -> dict[str, float]:
        return result(config, checkpoint=Checkpoint(tmp_path, log, every_seconds=0), log=log)

    epochs, metrics = killed_and_resumed(attempt, tmp_path, 2)
    assert epochs[0] == 2
    assert metrics == result(config)


def test_training_stops_when_the_validation_score_stays_and_the_best_epoch_is_tested(monkeypatch):
    scores = iter([3.0, 5.0, 5.0, 4.0, 4.5, 9.0])
    rank = sasrec.rank_next_items

    def given(encoder, task, part, *arguments):
        if part == "validation":
            return {"validation_ndcg20_zeroed_percent": next(scores)}
        return rank(encoder, task, part, *arguments)

    monkeypatch.setattr(sasrec, "rank_next_items", given)
    epochs: list[int] = []
    log = Log(watch=lambda line: epochs.append(line["epoch"]) if "epoch" in line else None)
    config = dataclasses.replace(TINY, epochs=9, patience=3)
    metrics = result(config, log=log)
    assert epochs == [0, 1, 2, 3, 4] and metrics["selected_epoch"] == 2
    assert log.selection == "best epoch by validation ndcg20_zeroed"
    two = result(dataclasses.replace(config, epochs=2, selection="last"))
    assert {name: value for name, value in two.items() if name in metrics} == metrics


def test_of_prefixes_the_eleventh_epoch_without_a_better_score_is_the_last_as_in_recbole():
    for sequences, bad in (("whole", 10), ("prefixes", 11)):
        config = dataclasses.replace(TINY, sequences=sequences, patience=10)
        over = [sasrec.is_over(config, {"epoch": 4}, epoch) for epoch in range(5, 30)]
        assert over.index(True) == bad


@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_sasrec_learns_sequences_that_always_go_on_alike(loss, tmp_path, monkeypatch):
    """Items 1, 2, ... 40 in a circle: after some epochs the next item is found."""
    lines = [" ".join(str((start + step) % 40 + 1) for step in range(-1, 9)) for start in range(80)]
    (tmp_path / "circle.txt").write_text("\n".join(f"{user} {line}" for user, line in enumerate(lines, start=1)))
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    config = dataclasses.replace(
        TINY, dataset="circle", loss=loss, users=0, width=16, epochs=20, patience=20, dropout=0.0, learning_rate=1e-2
    )
    metrics = result(config)
    assert metrics["test_ndcg5_unmasked_percent"] > 50  # by chance 7


def test_the_binary_loss_and_cross_entropy_equal_their_formulas():
    encoder = sequence_encoder(9, 4, width=8, rng=generator(0, "weights")).double().eval()
    with torch.no_grad():
        encoder.items.weight.mul_(10)
    rows, targets = torch.tensor([[0, 3, 4, 5], [0, 0, 0, 7]]), torch.tensor([[0, 4, 5, 6], [0, 0, 0, 8]])
    negatives = torch.tensor([[1, 2, 2, 1], [1, 9, 9, 9]])
    inputs = {"main0": rows, "target0": targets, "negative0": negatives}
    scores = encoder.scores(encoder(rows)).tolist()
    places = [(0, 1), (0, 2), (0, 3), (1, 3)]

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    binary = entropy = 0.0
    for row, place in places:
        given, wanted, other = scores[row][place], int(targets[row, place]), int(negatives[row, place])
        binary -= math.log(sigmoid(given[wanted])) + math.log(1 - sigmoid(given[other]))
        entropy -= math.log(math.exp(given[wanted]) / sum(math.exp(x) for x in given[:-1]))
    config = dataclasses.replace(TINY, pieces=1)
    for loss, expected in (("bce", binary), ("ce", entropy)):
        found = sasrec.loss_of(dataclasses.replace(config, loss=loss), encoder)(**inputs)
        assert found.item() == pytest.approx(expected / 4)


def test_rows_of_one_label_are_no_negatives_of_each_other():
    rng = torch.Generator().manual_seed(0)
    z_a, z_b = (torch.randn(5, 3, dtype=torch.float64, generator=rng) for _ in range(2))
    labels, z, total = [7, 7, 2, 3, 7], torch.cat([z_a, z_b]), 0.0
    for row in range(10):
        scores = [float(z[row] @ other) for other in z]
        others = [n for n in range(10) if labels[n % 5] != labels[row % 5]]
        partner = scores[(row + 5) % 10]
        total -= partner - math.log(math.exp(partner) + sum(math.exp(scores[n]) for n in others))
    config = dataclasses.replace(TINY, views="iclrec")
    assert float(sasrec.contrastive(config, z_a, z_b, torch.tensor(labels))) == pytest.approx(total / 10)
    alone = sasrec.contrastive(config, z_a, z_b, torch.arange(5))
    assert torch.equal(alone, sasrec.contrastive(config, z_a, z_b))


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_contrastive_loss_is_nt_xent_over_2b_minus_2_negatives(similarity):
    rng = torch.Generator().manual_seed(0)
    z_a, z_b = (torch.randn(5, 3, dtype=torch.float64, generator=rng) for _ in range(2))
    config = dataclasses.replace(TINY, views="cl4srec", similarity=similarity, temperature=0.7)
    z = torch.cat([z_a, z_b])
    if similarity == "cosine":
        z = z / z.norm(dim=1, keepdim=True)
    total = 0.0
    for row in range(10):
        scores = [float(z[row] @ other) / 0.7 for other in z]
        total -= scores[(row + 5) % 10] - math.log(sum(math.exp(s) for n, s in enumerate(scores) if n != row))
    assert float(sasrec.contrastive(config, z_a, z_b)) == pytest.approx(total / 10)
    none_hard = dataclasses.replace(config, contrast="hcl", beta=0.0)
    assert float(sasrec.contrastive(none_hard, z_a, z_b)) == pytest.approx(total / 10)


def test_pieces_change_no_loss():
    encoder = sequence_encoder(60, 12, width=8, rng=generator(0, "weights")).double().eval()
    rng = np.random.default_rng(0)
    rows = torch.zeros(20, 12, dtype=torch.long)
    for row in rows:
        length = int(rng.integers(1, 13))
        row[-length:] = torch.from_numpy(rng.integers(1, 60, length))
    rows = rows[views.lengths_of(rows).argsort()]
    columns = {"main": rows, "target": rows, "negative": rows.flip(0).clamp_min(1), "a": rows, "b": rows}
    losses = []
    for pieces in (1, 3):
        config = dataclasses.replace(TINY, pieces=pieces, views="cl4srec")
        inputs = batches.in_pieces(columns, pieces)
        losses.append(sasrec.loss_of(config, encoder)(**inputs).item())
    assert inputs["main0"].shape[1] == 10 and losses[0] == pytest.approx(losses[1])


ROWS = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0, 0, 9], [1, 2, 3, 4, 5, 6, 7, 8]])


def items(row) -> list[int]:
    return [item for item in row.tolist() if item]


def test_crop_keeps_a_run_mask_hides_a_share_and_reorder_shuffles_a_run():
    starts, windows = set(), set()
    for seed in range(60):
        rng = generator(seed, "augmentation")
        cropped = views.crop(ROWS, 0.6, rng)
        run = items(cropped[0])
        starts.add(run[0])
        assert run == list(range(run[0], run[0] + 3)) and cropped[0, :5].sum() == 0
        masked = views.mask(ROWS, 0.3, 99, rng)
        assert (masked == 99).sum(dim=1).tolist() == [1, 0, 2]
        assert ((masked == ROWS) | (masked == 99)).all()
        shuffled = views.reorder(ROWS, 0.6, rng)
        assert sorted(items(shuffled[2])) == list(range(1, 9)) and torch.equal(shuffled[1], ROWS[1])
        moved = [place for place, item in enumerate(items(shuffled[2])) if item != place + 1]
        assert not moved or max(moved) - min(moved) < 4
        windows.update(moved)
    assert starts == {1, 2, 3, 4} and windows == set(range(8))


def test_two_views_are_of_two_different_operations():
    for seed in range(20):
        shares = {"crop_share": 0.5, "mask_share": 0.5, "reorder_share": 0.9}
        made = views.two_views(ROWS, **shares, number=99, rng=generator(seed, "augmentation"))
        assert all(items(view[1]) == [9] for view in made)
        kinds = ["crop" if len(items(v[2])) == 4 else "mask" if 99 in items(v[2]) else "reorder" for v in made]
        assert kinds[0] != kinds[1]


def test_negatives_are_never_the_user_s_items_and_everything_else_is_drawn():
    avoided = batches.Avoided([np.array([1, 2, 5]), np.array([3])], items=6)
    drawn = avoided.draw(torch.tensor([0, 1]), 400, generator(0, "augmentation"))
    assert set(drawn[0].tolist()) == {3, 4, 6, 7} and set(drawn[1].tolist()) == {1, 2, 4, 5, 6, 7}
    with pytest.raises(ValueError, match="a user has all 3 items, so that no negative is left to draw"):
        batches.Avoided([np.array([1, 2, 3])], items=3)


def test_clean_negatives_may_be_the_item_of_the_test_and_published_ones_may_not():
    for negatives, possible in (("unseen", False), ("untrained", True)):
        task = batches.load_task(dataclasses.replace(TINY, negatives=negatives))
        users = torch.arange(len(task.rows))
        test_items = torch.from_numpy(task.split.questions("test")[1])
        assert bool(task.avoided.has(users, test_items).all()) != possible


def test_duorecs_partner_has_the_same_target_and_is_another_sequence_where_there_is_one():
    task = batches.load_task(dataclasses.replace(TINY, views="duorec", users=120))
    index = torch.arange(len(task.rows))
    partners = task.rows_of_same_target(index, generator(0, "augmentation"))
    before, after = task.split.prefixes(TINY.longest)
    by_target: dict[int, list[list[int]]] = {}
    for prefix, target in zip(before, after.tolist(), strict=True):
        by_target.setdefault(target, []).append(prefix.tolist())
    alone = 0
    for row, partner, target in zip(task.rows, partners, task.targets[:, -1].tolist(), strict=True):
        possible = by_target[target]
        assert items(partner) in possible
        if torch.equal(row, partner):
            assert len(possible) == 1 or possible.count(items(row)) > 1  # two documents that are the same
        alone += len(possible) == 1
    assert 0 < alone < len(task.rows) / 2


@pytest.mark.parametrize(("partner", "views"), [("un", "a"), ("su", "b"), ("us", "ab")])
def test_duorecs_un_su_and_us_compare_the_pass_that_predicts(partner, views):
    task = batches.load_task(dataclasses.replace(TINY, loss="ce", views="duorec", partner=partner))
    encoder = sequence_encoder(task.items, TINY.longest, width=8, rng=generator(0, "weights")).eval()
    inputs = task.inputs(torch.arange(24), generator(0, "augmentation"))
    assert all(torch.equal(inputs[f"a{n}"], inputs[f"main{n}"]) for n in range(TINY.pieces))
    z, *compared = (
        torch.cat([encoder.last(inputs[f"{name}{n}"]) for n in range(TINY.pieces)]) for name in ("main", *views)
    )
    expected = sasrec.loss_of(dataclasses.replace(task.config, views="none", partner="target"), encoder)(**inputs)
    for view in compared:
        expected = expected + 0.1 * sasrec.contrastive(task.config, z, view)
    assert sasrec.loss_of(task.config, encoder)(**inputs).item() == pytest.approx(expected.item(), rel=1e-5)
    partners = torch.cat([inputs[f"b{n}"][:, -1] for n in range(TINY.pieces)])
    assert (partners != torch.cat([inputs[f"main{n}"][:, -1] for n in range(TINY.pieces)])).any() == (partner != "un")


def test_a_user_of_three_items_has_no_partner_and_stops_no_method(tmp_path, monkeypatch):
    (tmp_path / "three.txt").write_text("".join(f"{user} {user} 2 3 4 5 6 7\n" for user in range(1, 9)) + "9 1 2 3\n")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    config = dataclasses.replace(TINY, dataset="three", users=0, batch=9, clusters=2)
    for name in ("cl4srec", "coserec", "duorec", "iclrec"):
        assert result(dataclasses.replace(config, views=name))["test_hr5_unmasked_percent"] >= 0


def test_a_run_keeps_its_weights_and_each_users_ranks():
    metrics = result(TINY, checkpoint=(checkpoint := Keeps()))
    better, equal = checkpoint.kept["ranks"]["excluded"]
    assert len(better) == TINY.users and not equal.any()
    assert metrics["test_hr10_excluded_percent"] == pytest.approx(100 * (better < 10).double().mean().item())
    assert set(checkpoint.kept["encoder"]) == set(sequence_encoder(9, 12, width=8, rng=generator(0, "w")).state_dict())


def test_a_kept_model_recommends_items_by_the_names_of_the_table(tmp_path, monkeypatch):
    """Everybody sees twenty films in one order: the kept file is enough to name the film that comes next."""
    header, films = (
        "user_id:token\titem_id:token\ttimestamp:float\n",
        [f"film {letter}" for letter in "tsrqponmlkjihgfedcba"],
    )
    lines = [f"u{user}\t{films[(user + n) % 20]}\t{n}\n" for user in range(40) for n in range(8)]
    (tmp_path / "films.inter").write_text(header + "".join(lines))
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    config = dataclasses.replace(TINY, dataset="films", users=0, width=16, loss="ce", dropout=0.0, learning_rate=1e-2)
    result(dataclasses.replace(config, epochs=20, selection="last"), checkpoint=Checkpoint(tmp_path))
    kept = torch.load(tmp_path / "artefact.pt", weights_only=True)
    encoder = SequenceEncoder(len(kept["items"]), config.longest, width=16, dropout=0.0)
    encoder.load_state_dict(kept["encoder"])
    seen = torch.tensor([[1 + kept["items"].index(film) for film in ("film h", "film g", "film f")]])
    best = int(encoder.scores(encoder.last(seen))[0, 1:-1].argmax())
    assert kept["items"][best] == "film e"


def test_counting_keeps_each_users_ranks_too():
    metrics = result(Count("gensim_sequences", 60), checkpoint=(checkpoint := Keeps()))
    better, equal = checkpoint.kept["ranks"]["zeroed"]
    gains = ranking.gains_of_ranks(better.long(), equal.long(), 9999)["hr10"]
    assert metrics["test_hr10_zeroed_percent"] == pytest.approx(100 * gains.mean().item())


def test_popularity_counts_training_items_and_transitions_come_before_it():
    training = [np.array([1, 2, 3]), np.array([4, 2, 3]), np.array([2, 4])]
    assert popularity(training, 5).tolist() == [-math.inf, 1, 3, 2, 2, 0, -math.inf]
    scores = Transitions(training, 5).scores(np.array([2, 5]))
    assert scores[0].argsort(descending=True).tolist()[:3] == [3, 4, 2]
    assert scores[1].argsort(descending=True).tolist()[0] == 2 and scores[0, 3] == 2 + 2 / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "nowhere"}, "unknown data set of interactions 'nowhere'"),
        ({"width": 9}, "width must be a multiple of heads, got 9 and 2"),
        ({"views": "iclrec", "clusters": 99}, "clusters must be at most the number of sequences, [0-9]+; got 99"),
        ({"dataset": "short"}, "short has nothing to train on: no user has more than 3 items"),
    ],
)
def test_a_bad_setting_gets_one_line(change, message, tmp_path, monkeypatch):
    (tmp_path / "short.txt").write_text("1 1 2 3\n2 2 3 1\n")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=message) as caught:
        result(dataclasses.replace(TINY, **change))
    assert "\n" not in str(caught.value)


def test_all_actions_count_the_item_of_the_test(tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("1 1 2 9\n2 2 1 9\n3 1 3 9\n")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    config = Count("few")
    ranks = [result(each)["test_mrr_excluded_percent"] for each in (config, dataclasses.replace(config, actions="all"))]
    assert ranks[0] < 50 and ranks[1] == 100


def test_training_and_validation_count_the_item_before_that_of_the_test(tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("1 1 8 9\n2 2 9 8\n3 1 9 8\n")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    batches.read_interactions.cache_clear()
    kinds = [Count("few", actions=actions) for actions in ("training", "before_test")]
    training, before_test = (result(each)["test_mrr_excluded_percent"] for each in kinds)
    assert training < 50 < before_test


@pytest.mark.parametrize("inverse_frequency", [True, False])
def test_similar_items_by_counts_equal_their_formula(inverse_frequency):
    sequences = [np.array([1, 2, 3]), np.array([2, 3]), np.array([3, 1, 1, 4]), np.array([6])]
    best, score = coserec.by_counts(sequences, items=6, inverse_frequency=inverse_frequency)
    users = {item: [set(each.tolist()) for each in sequences if item in each] for item in range(1, 7)}
    scores = {
        (i, j): sum(1 / math.log(1 + len(user)) if inverse_frequency else 1 for user in users[i] if j in user)
        / math.sqrt(len(users[i]) * len(users[j]))
        for i in users
        for j in users
        if i != j and any(j in user for user in users[i])
    }
    low, high = min(scores.values()), max(scores.values())
    for item in range(1, 5):
        own = {j: value for (i, j), value in scores.items() if i == item}
        assert own[int(best[item])] == pytest.approx(max(own.values()))
        assert score[item].item() == pytest.approx((max(own.values()) - low) / (high - low))
    assert best[[0, 5, 6, 7]].tolist() == [0, 0, 0, 0] and score[6] == 0


def test_similar_items_by_embeddings_leave_the_item_itself_out_and_join_after_the_warm_up():
    weight = torch.tensor([[0.0, 0.0], [3.0, 0.0], [2.0, 1.0], [0.0, 2.0], [-1.0, 0.0]])
    best, score = coserec.by_embeddings(weight)
    assert best.tolist()[1:4] == [2, 1, 2] and score[1].item() == pytest.approx((6 + 3) / (9 + 3))
    encoder = sequence_encoder(3, 4, width=2, heads=1, rng=generator(0, "weights"))
    with torch.no_grad():
        encoder.items.weight.copy_(weight)
    similar = coserec.SimilarItems([np.array([1, 3]), np.array([2, 3])], items=3)
    config = dataclasses.replace(TINY, views="coserec", warm_up=5)
    assert similar.at(config, encoder, 5).tolist() == [0, 3, 3, 1, 0]
    later = similar.at(config, encoder, 6)
    assert all(later[n] == (similar.best if similar.score[n] >= score[n] else best)[n] for n in range(5))


def test_substitute_replaces_a_share_and_insert_puts_similar_items_before_theirs():
    similar = torch.arange(12) + 100
    for seed in range(10):
        rng = generator(seed, "augmentation")
        replaced = coserec.substitute(ROWS, 0.3, similar, rng)
        assert (replaced != ROWS).sum(dim=1).tolist() == [1, 1, 2] and (replaced[1] != ROWS[1]).any()
        longer = items(coserec.insert(ROWS, 0.4, similar, rng)[2])
        assert [item for item in longer if item < 100] == items(ROWS[2]) and len(longer) == 11
        assert all(longer[place + 1] == item - 100 for place, item in enumerate(longer) if item >= 100)


def test_a_random_similar_item_is_any_of_the_training_and_another_each_time():
    similar = coserec.SimilarItems([np.array([1, 3]), np.array([2, 3])], items=9, similar_by="random")
    config = dataclasses.replace(TINY, views="coserec", warm_up=9)
    found = coserec.partners(torch.full((1, 60), 8), similar.at(config, None, 0), generator(0, "augmentation"))
    again = coserec.partners(torch.full((1, 60), 3), similar.at(config, None, 0), generator(1, "augmentation"))
    assert set(found.flatten().tolist()) == set(again.flatten().tolist()) == {1, 2, 3}


def test_a_short_sequence_takes_only_the_operations_for_short_ones():
    similar = torch.full((12,), 50)
    config = dataclasses.replace(
        TINY, views="coserec", short=6, short_operations="SI", longest=8, crop=0.2, mask=0.7, insert=0.4
    )
    lengths = set()
    for seed in range(40):
        for view in coserec.two_views(ROWS, config, similar, generator(seed, "augmentation")):
            assert view.shape == (3, 8) and 50 in items(view[0]) and 50 in items(view[1])
            lengths.add(len(items(view[2])))
    assert min(lengths) == 1 and max(lengths) == 8, "the long one is cropped to one item, too"


def test_an_intent_is_the_nearest_centre_brought_to_length_1():
    centres = torch.tensor([[10.0, 0.0], [0.0, 2.0], [-1.0, -1.0]])
    states = torch.tensor([[[3.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [18.0, 2.0]], [[-9.0, 0.0], [0.0, -9.0]]])
    own, intents = iclrec.intents(states, centres)
    assert own.tolist() == [1, 0, 2]
    assert intents.tolist() == [[0, 1], [1, 0], pytest.approx([-math.sqrt(0.5)] * 2)]


def test_centres_are_those_of_the_mean_outputs():
    encoder = sequence_encoder(20, 4, width=8, rng=generator(0, "weights")).train()
    rows = torch.tensor([[0, 0, 1, 2], [0, 0, 1, 2], [7, 8, 9, 10]])
    found = iclrec.centres(encoder, rows, 2, random_state=0)
    means = encoder.eval()(rows).mean(dim=1).detach()
    assert sorted(torch.cdist(means[1:], found).min(dim=0).values.tolist()) == pytest.approx([0, 0], abs=1e-3)
    with pytest.raises(ValueError, match="clusters must be at most the number of sequences, 3; got 4"):
        iclrec.centres(encoder, rows, 4, random_state=0)


def test_centres_go_on_from_the_last_ones():
    encoder = sequence_encoder(20, 4, width=8, rng=generator(0, "weights"))
    rows = torch.randint(1, 21, (40, 4), generator=torch.Generator().manual_seed(0))
    first = iclrec.centres(encoder, rows, 3, random_state=0)
    settled = iclrec.centres(encoder, rows, 3, random_state=1, last=first)
    assert torch.allclose(iclrec.centres(encoder, rows, 3, random_state=2, last=settled), settled, atol=1e-6)
    config = dataclasses.replace(TINY, views="iclrec", clusters=4)
    epochs = {}
    for k_means in ("anew", "continued"):
        task = batches.load_task(dataclasses.replace(config, k_means=k_means))
        encoder, last = sasrec.build(task.config, task, 0), {}
        epochs[k_means] = [next(task.epoch(0, epoch, encoder, last))["centres"] for epoch in range(2)]
    assert torch.equal(epochs["anew"][0], epochs["continued"][0])
    assert not torch.allclose(epochs["anew"][1], epochs["continued"][1])


@pytest.mark.parametrize("false_negatives", ["kept", "left_out"])
def test_iclrecs_loss_is_the_sum_of_its_three_parts(false_negatives):
    config = dataclasses.replace(TINY, views="iclrec", clusters=4, crop=0.2, mask=0.7, reorder=0.2)
    task = batches.load_task(dataclasses.replace(config, false_negatives=false_negatives))
    encoder = sequence_encoder(task.items, TINY.longest, width=8, rng=generator(0, "weights")).eval()
    inputs = next(task.epoch(0, 0, encoder))
    config = dataclasses.replace(task.config, weight=0.3, intent_weight=0.2)
    z_a, z_b = (torch.cat([encoder(inputs[f"{view}{n}"]) for n in range(config.pieces)]) for view in "ab")
    main = torch.cat([encoder(inputs[f"main{n}"]) for n in range(config.pieces)])
    assert z_a.shape[1] == main.shape[1] == config.longest
    labels, (own, intents) = None, iclrec.intents(main, inputs["centres"])
    if false_negatives == "left_out":
        labels = torch.cat([inputs[f"label{n}"][:, 0] for n in range(config.pieces)])
        users = {tuple(row.tolist()): user for user, row in enumerate(task.rows)}
        rows = [
            row for n in range(config.pieces) for row in torch.nn.functional.pad(inputs[f"main{n}"], (12, 0))[:, -12:]
        ]
        validation = task.split.questions("validation")[1]
        assert labels.tolist() == [validation[users[tuple(row.tolist())]] for row in rows]
    else:
        own = None
    alone = sasrec.loss_of(dataclasses.replace(config, views="none"), encoder)(**inputs)
    expected = alone + 0.3 * sasrec.contrastive(config, z_a.flatten(1), z_b.flatten(1), labels)
    for z in (z_a, z_b):
        expected = expected + 0.2 * sasrec.contrastive(config, z.mean(dim=1), intents, own) / 2
    assert sasrec.loss_of(config, encoder)(**inputs).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_notes_tell_early_and_late_runs_of_sasrec_as_the_rows_do():
    readme = PAPER.folder / "NOTES.md"
    rows = rows_shipped(readme.parents[2] / "results", "sequential_recommendation")
    ours = [row for row in rows if (row["scale"], row["dataset"], row["method"]) == ("paper", "LastFM", "SASRec")]
    early, late = ([row for row in ours if (row["metrics"]["selected_epoch"] < 20) == stops] for stops in (True, False))
    assert (len(early), len(late)) == (4, 6)

    def kept(some: list[dict[str, Any]]) -> str:
        epochs = [row["metrics"]["selected_epoch"] for row in some]
        return f"{min(epochs):.0f} to {max(epochs):.0f}"

    *first, last = sorted(row["seed"] for row in early)
    text = " ".join(readme.read_text().split())
    assert (
        f"seeds {', '.join(map(str, first))} and {last} keep an epoch from {kept(early)} and have an HR@10 of" in text
    )
    assert f"The other six keep an epoch from {kept(late)} and have" in text
    for method, words, seeds in (
        ("SASRec, CE", "All five seeds of SASRec keep an epoch", 5),
        ("SASRec, patience 30", "the same ten seeds) all ten keep an epoch", 10),
        ("SASRec, patience 40", "The runs keep an epoch", 5),
        ("CoSeRec", "CoSeRec's keep an epoch", 5),
    ):
        others = [row for row in rows if (row["scale"], row["dataset"], row["method"]) == ("paper", "LastFM", method)]
        assert len(others) == seeds and f"{words} from {kept(others)}" in text
    longest = [row for row in rows if row["scale"] == "paper" and row["method"] in ("CoSeRec", "ICLRec")]
    assert len(longest) == 10 and sum(row["epoch"] == 299 for row in longest) == 5
    assert "Five of the ten runs end at the limit of 300" in text
    iclrec = [row for row in longest if row["method"] == "ICLRec"]
    short = [row["seed"] for row in iclrec if row["metrics"]["selected_epoch"] < 20]
    others = [row for row in iclrec if row["seed"] not in short]
    assert f"seeds {short[0]} and {short[1]} stop in a plateau at the start" in text and len(short) == 2
    assert f"and the others keep an epoch from {kept(others)}" in text
    template = (PAPER.folder / "NOTES.md.jinja").read_text()
    for row in ours:
        assert f'seed("main/paper", "LastFM", "SASRec", "test_hr10_zeroed_percent", "{row["seed"]}"' in template
