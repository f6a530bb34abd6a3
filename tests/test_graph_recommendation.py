"""The paper graph_recommendation: its losses against the formulas, its batches, its baselines, its runs, bad input."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from handed_over import Keeps, Needed
from interrupted import killed_and_resumed

from benchmarks.graph_recommendation import counted, losses
from benchmarks.graph_recommendation.batches import Task, load_task
from benchmarks.graph_recommendation.config import Train
from benchmarks.graph_recommendation.prototypes import clustered
from benchmarks.graph_recommendation.train import built, loss_of, pretrain, train, training_step
from contrastbench import papers
from contrastbench.data.pairs import load_pairs
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.runner.rows import rows_shipped

BASE = Train("example_pairs", width=8, layers=2, batch=256, epochs=2, every=1, clusters=4)


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Bit for bit is promised on one thread."""


def log_sum_exp(values: list[float]) -> float:
    return math.log(sum(map(math.exp, values)))


def cosine(a, b) -> float:
    return float((a @ b / (a.norm() * b.norm())).detach())


def drawn(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, 5, generator=generator(seed, "test"), dtype=torch.float64)


# --------------------------------------------------------------------------------------------------------- the losses


def test_nce_and_its_gradient_are_those_of_the_formula():
    query, key, rivals = (drawn(4, 1).requires_grad_(), drawn(4, 2).requires_grad_(), drawn(9, 3).requires_grad_())
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    found = losses.nce(query, key, rivals, shares, 0.3)
    expected = sum(
        float(shares[i]) * (-cosine(query[i], key[i]) / 0.3 + log_sum_exp([cosine(query[i], r) / 0.3 for r in rivals]))
        for i in range(4)
    )
    assert float(found.detach()) == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(lambda q, k, r: losses.nce(q, k, r, shares, 0.3), (query, key, rivals))


def test_a_rival_with_the_bias_log_k_counts_k_times_and_blocks_of_rows_change_nothing(monkeypatch):
    query, rivals, shares = drawn(5).requires_grad_(), drawn(4, 1), torch.full((5,), 0.2, dtype=torch.float64)
    times = torch.tensor([1, 3, 0, 2])

    def found(rivals, bias=None):
        value = losses.nce(query, drawn(5, 2), rivals, shares, 0.3, bias=bias)
        return torch.cat([value[None], *torch.autograd.grad(value, [query])[0]])

    expected = found(rivals.repeat_interleave(times, dim=0))
    torch.testing.assert_close(found(rivals, times.double().log()), expected)
    monkeypatch.setattr(losses, "ENTRIES", 8)  # two rows at a time
    torch.testing.assert_close(found(rivals, times.double().log()), expected)


def test_each_rival_may_have_a_temperature_of_its_own():
    query, rivals, own = drawn(4), drawn(6, 1), torch.tensor([5, 0, 0, 2])
    temperature = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    shares = torch.full((4,), 0.25, dtype=torch.float64)
    expected = sum(
        -cosine(q, rivals[o]) / float(temperature[o])
        + log_sum_exp([cosine(q, r) / float(t) for r, t in zip(rivals, temperature, strict=True)])
        for q, o in zip(query, own, strict=True)
    )
    found = losses.nce(query, rivals[own], rivals, shares, temperature, own)
    assert float(found) == pytest.approx(expected / 4, abs=1e-12)


def test_hcl_and_dcl_at_zero_are_info_nce():
    query, key = drawn(7), drawn(7, 1)
    plain = losses.in_batch(BASE, query, key)
    for contrast in ("hcl", "dcl"):
        assert torch.allclose(losses.in_batch(dataclasses.replace(BASE, contrast=contrast), query, key), plain)


def test_hcl_weighs_the_rivals_by_the_formula():
    query, key, beta, tau, t = drawn(6), drawn(6, 1), 0.7, 0.05, BASE.temperature
    total = 0.0
    for i in range(6):
        positive = math.exp(cosine(query[i], key[i]) / t)
        scores = [cosine(query[i], key[j]) / t for j in range(6) if j != i]
        weights = [math.exp(beta * s) for s in scores]
        mean = sum(w * math.exp(s) for w, s in zip(weights, scores, strict=True)) / sum(weights)
        negative = 5 * max((mean - tau * positive) / (1 - tau), math.exp(-1 / t))
        total += -math.log(positive / (positive + negative)) / 6
    config = dataclasses.replace(BASE, contrast="hcl", beta=beta, tau_plus=tau)
    assert float(losses.in_batch(config, query, key)) == pytest.approx(total, abs=1e-10)


def test_bcl_weighs_the_rivals_by_their_rank():
    query, key, t = drawn(6), drawn(6, 1), BASE.temperature
    config = dataclasses.replace(BASE, contrast="bcl", beta=0.8, alpha=0.7, tau_plus=0.1)
    total = 0.0
    for i in range(6):
        positive = math.exp(cosine(query[i], key[i]) / t)
        scores = [cosine(query[i], key[j]) / t for j in range(6) if j != i]
        ranks = torch.tensor([sum(o <= s for o in scores) / 5 for s in scores], dtype=torch.float64)
        omega = losses.bayesian_weights(ranks, tau_plus=0.1, alpha=0.7, beta=0.8)
        negative = sum(float(w) * math.exp(s) for w, s in zip(omega, scores, strict=True))
        total += -math.log(positive / (positive + negative)) / 6
    assert float(losses.in_batch(config, query, key)) == pytest.approx(total, abs=1e-10)


def in_float64(config: Train) -> tuple[Task, object, dict]:
    """A task, its model in float64 and the inputs of its first step."""
    task = load_task(config, 0)
    model = built(config, task).double()
    model.layers = type(model.layers)(
        type(each)(each.columns, each.starts, each.values.double(), each.transposed.double()) for each in model.layers
    )
    inputs = next(iter(task.epoch(0, model)))
    return (
        task,
        model,
        {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in inputs.items()},
    )


def outputs_by_loops(task: Task, model) -> list[torch.Tensor]:
    """E_0, E_1, ... from the matrix."""
    x, made = model.ego.detach(), []
    matrix = model.layers[0].times(torch.eye(len(x), dtype=torch.float64))
    for _ in range(model.depth + 1):
        made.append(x)
        x = matrix @ x
    return made


def main_loss_by_loops(config: Train, task: Task, ego, z, inputs) -> float:
    total, users = 0.0, task.data.users
    triplets = list(zip(*(inputs[name].tolist() for name in ("users", "items", "negatives")), strict=True))
    for user, item, negative in triplets:
        margin = float(z[user] @ z[users + negative] - z[user] @ z[users + item])
        squares = sum(float(ego[node] @ ego[node]) for node in (user, users + item, users + negative))
        total += math.log1p(math.exp(margin)) + config.reg / 2 * squares
    return total / len(triplets)


def test_lightgcns_loss_is_that_of_the_formula():
    config = dataclasses.replace(BASE, reg=0.01)
    task, model, inputs = in_float64(config)
    outputs = outputs_by_loops(task, model)
    expected = main_loss_by_loops(config, task, outputs[0], sum(outputs) / len(outputs), inputs)
    assert float(loss_of(config, model)(**inputs).detach()) == pytest.approx(expected, abs=1e-9)


def nce_by_loops(a, b, rows, rivals, t: float) -> float:
    """Mean over the rows; each row of ``a`` must find its row of ``b`` among the rivals."""
    return sum(
        -cosine(a[node], b[node]) / t + log_sum_exp([cosine(a[node], b[other]) / t for other in rivals])
        for node in rows
    ) / len(rows)


@pytest.mark.parametrize(("against", "reduction"), [("batch", "mean"), ("all", "mean"), ("all", "sum")])
def test_sgls_loss_is_that_of_the_formula(against, reduction):
    config = dataclasses.replace(BASE, method="sgl", against=against, reduction=reduction, operator="none", drop=0.3)
    task, model, inputs = in_float64(config)
    for name in "ab":
        inputs[name] = model.layers
    outputs = outputs_by_loops(task, model)
    z, users = sum(outputs) / len(outputs), task.data.users
    expected = main_loss_by_loops(config, task, outputs[0], z, inputs)
    times = config.weight * (len(inputs["users"]) if reduction == "sum" else 1)
    for side, start in (("users", 0), ("items", users)):
        batch = [start + node for node in inputs[side].tolist()]
        everyone = range(users) if side == "users" else range(users, len(z))
        rows, rivals = (sorted(set(batch)),) * 2 if against == "batch" else (batch, everyone)
        expected += times * nce_by_loops(z, z, rows, rivals, config.temperature)
    assert float(loss_of(config, model)(**inputs).detach()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("prototypes", "alpha_on"), [("all", "structure"), ("batch", "structure"), ("all", "both")])
def test_ncls_loss_is_that_of_the_formula(prototypes, alpha_on):
    config = dataclasses.replace(
        BASE, method="ncl", reduction="sum", weight=0.01, prototype_weight=0.02, item_weight=1.5,
        prototypes=prototypes, alpha_on=alpha_on, warm_up=0,
    )  # fmt: skip
    task, model, inputs = in_float64(config)
    outputs, users, t = outputs_by_loops(task, model), task.data.users, config.temperature
    expected = main_loss_by_loops(config, task, outputs[0], sum(outputs[:3]) / 3, inputs)
    for side, start in (("users", 0), ("items", users)):
        batch = [start + node for node in inputs[side].tolist()]
        everyone = range(users) if side == "users" else range(users, len(outputs[0]))
        alpha = 1.5 if side == "items" else 1.0
        expected += 0.01 * alpha * len(batch) * nce_by_loops(outputs[2], outputs[0], batch, everyone, t)
        centres, cluster = inputs[f"{side}_centres"], inputs[f"{side}_cluster"]
        rivals = centres if prototypes == "all" else centres[cluster[inputs[side]]]
        found = [
            -cosine(outputs[0][node], centres[cluster[node - start]]) / t
            + log_sum_exp([cosine(outputs[0][node], rival) / t for rival in rivals])
            for node in batch
        ]
        expected += 0.02 * (alpha if alpha_on == "both" else 1.0) * sum(found)
    assert float(loss_of(config, model)(**inputs).detach()) == pytest.approx(expected, rel=1e-6)


def test_xsimgcl_trains_on_one_noisy_pass_and_is_tested_without_noise():
    config = dataclasses.replace(BASE, method="xsimgcl", readout="no_ego", eps=0.5)
    _, model, inputs = in_float64(config)
    assert "noise0" in inputs and "noise1" not in inputs
    noisy, clean = loss_of(config, model)(**inputs), loss_of(config, model)(**{**inputs, "noise0": None})
    assert float(noisy.detach()) != float(clean.detach())
    assert all(torch.equal(*pair) for pair in zip(model.final(), model.final(), strict=True))


# ------------------------------------------------------------------------------------------------ batches and baselines


@pytest.mark.parametrize(
    "changes", [{}, {"drawn": "users"}, {"negatives": "blend", "easy": 1}, {"negatives": "ranked"}]
)
def test_a_positive_is_a_training_pair_and_no_negative_is(changes):
    task = load_task(dataclasses.replace(BASE, **changes), 0)
    training = set(map(tuple, task.data.train.tolist()))
    count = 0
    for inputs in task.epoch(0, built(task.config, task)):
        users, items, negatives = (inputs[name].tolist() for name in ("users", "items", "negatives"))
        assert training >= set(zip(users, items, strict=True))
        assert not training & set(zip(users, negatives, strict=True))
        count += len(users)
    assert count == len(training)


def test_random_walk_has_a_graph_for_each_layer_and_views_differ():
    views = load_task(dataclasses.replace(BASE, method="sgl", operator="walk", drop=0.3), 0).two_graphs(0)
    counts = [len(layer.values) for view in views.values() for layer in view]
    assert len(set(counts)) == 1 and not torch.equal(views["a"][0].columns, views["a"][1].columns)
    edges = load_task(dataclasses.replace(BASE, method="sgl", drop=0.3), 0).two_graphs(0)
    assert edges["a"][0] is edges["a"][1] and not torch.equal(edges["a"][0].columns, edges["b"][0].columns)


def test_clusters_are_where_the_points_are_and_every_row_has_the_nearest():
    points = torch.cat([drawn(30, 1) / 20 + offset for offset in (5.0, -5.0)]).float()
    centres, cluster = clustered(points, 2, generator(4, "clusters"))
    assert torch.equal(cluster, torch.cdist(points, centres).argmin(dim=1))
    torch.testing.assert_close(centres, torch.stack([points[cluster == each].mean(dim=0) for each in range(2)]))
    assert sorted([set(cluster[:30].tolist()), set(cluster[30:].tolist())], key=min) == [{0}, {1}]
    _, cluster = clustered(
        points[:1].repeat(9, 1), 4, generator(4, "clusters")
    )  # equal points: most clusters are empty
    assert 0 <= int(cluster.min()) <= int(cluster.max()) < 4


def test_ease_has_a_zero_diagonal_and_both_ways_to_it_agree():
    data = load_pairs("example_pairs").split(np.random.default_rng(0))
    users, x = torch.arange(data.users), torch.from_numpy(counted.chosen_matrix(data).toarray()).double()
    precision = torch.linalg.inv(x.T @ x + 3 * torch.eye(data.items, dtype=torch.float64))
    weights = torch.eye(data.items, dtype=torch.float64) - precision / precision.diagonal()
    assert weights.diagonal().abs().max() < 1e-12
    assert torch.allclose(counted.ease(data, 3.0)(users).double(), x @ weights, atol=1e-4)
    narrow = dataclasses.replace(data, items=45, train=data.train[data.train[:, 1] < 45])  # fewer items than users
    x = torch.from_numpy(counted.chosen_matrix(narrow).toarray()).double()
    precision = torch.linalg.inv(x.T @ x + 3 * torch.eye(45, dtype=torch.float64))
    weights = torch.eye(45, dtype=torch.float64) - precision / precision.diagonal()
    assert torch.allclose(counted.ease(narrow, 3.0)(users).double(), x @ weights, atol=1e-4)


def test_item_neighbours_add_up_the_cosines_of_the_nearest():
    data = load_pairs("example_pairs").split(np.random.default_rng(0))
    x = torch.from_numpy(counted.chosen_matrix(data).toarray())
    similar = torch.nn.functional.normalize(x, dim=0)
    similar = (similar.T @ similar).fill_diagonal_(0)
    for item in range(data.items):  # of an item's row only the four largest stay
        similar[item, similar[item].argsort(descending=True, stable=True)[4:]] = 0
    found = counted.item_neighbours(data, 4)(torch.arange(data.users))
    assert torch.allclose(found.sum(), (x @ similar.T).sum(), atol=1e-3)
    popular = counted.popularity(data)(torch.arange(2))
    assert popular[0].tolist() == popular[1].tolist() == x.sum(dim=0).tolist()


# ------------------------------------------------------------------------------------------------------------- the runs


def trained(config: Train, stage=train, folder: Path | None = None, log: Log | None = None):
    checkpoint = Checkpoint(folder, log, every_seconds=0) if folder else Checkpoint()
    return stage(config, seed=0, device="cpu", checkpoint=checkpoint, log=log or Log())


KINDS = {
    "lightgcn": {},
    "sslrec": {"keep": 0.5, "readout": "sum", "penalty": "all", "selection": "recall10"},
    "sgl": {"method": "sgl", "operator": "walk"},
    "simgcl": {"method": "simgcl", "readout": "no_ego"},
    "ncl": {"method": "ncl", "warm_up": 1, "concentration": "pcl"},
    "mined": {"negatives": "ranked_first", "loss": "triplet", "similarity": "cosine", "layers": 0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_ends_as_an_undisturbed_one(kind, tmp_path):
    config = dataclasses.replace(BASE, epochs=4, **KINDS[kind])
    undisturbed = trained(config)
    epochs, metrics = killed_and_resumed(lambda log: trained(config, folder=tmp_path, log=log), tmp_path, 2)
    assert epochs == [2, 3] and metrics == undisturbed


def test_pre_trained_embeddings_are_handed_over_and_a_frozen_run_keeps_them():
    first = dataclasses.replace(BASE, method="xsimgcl", loss="none")
    keeps = Keeps()
    pretrain(first, seed=0, device="cpu", checkpoint=keeps, log=Log())
    later = dataclasses.replace(BASE, start="pretrain", trained="map")
    needed = Needed({"pretrain": keeps.kept})
    train(later, seed=0, device="cpu", checkpoint=needed, log=Log())
    task = load_task(later, 0)
    model = built(later, task)
    step, before = training_step(later, model, "cpu"), model.embeddings.detach().clone()
    for each in task.epoch(0, model):
        step(**each)
    assert torch.equal(model.embeddings, before) and not torch.equal(model.map, torch.eye(8))


def test_training_helps_on_tastes_that_are_plain():
    popular = papers.paper("graph_recommendation").load("train.count")
    config = next(iter(papers.paper("graph_recommendation").cells("main", "smoke"))).runs[0].config
    floor = popular(config, seed=0, device="cpu", checkpoint=Checkpoint(), log=Log())
    found = trained(dataclasses.replace(BASE, epochs=60, learning_rate=0.02, width=16))
    assert found["test_recall20_train_percent"] > floor["test_recall20_train_percent"] + 15


# ---------------------------------------------------------------------------------------------------------- bad input


def own_set(root: Path, lines: str, **parts: str) -> None:
    folder = root / "recsys" / "pairs" / "mine"
    folder.mkdir(parents=True)
    for name, text in {"pairs" if not parts else "train": lines, **parts}.items():
        (folder / f"{name}.txt").write_text(text)


BLOCK = "".join(f"{user} {item}\n" for user in range(8) for item in range(12) if (user + item) % 3)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    from benchmarks.graph_recommendation.batches import read_pairs

    read_pairs.cache_clear()
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    yield tmp_path
    read_pairs.cache_clear()


def test_a_user_with_one_item_and_an_item_never_trained_on_stop_nothing(mine):
    own_set(mine, BLOCK + "70 3\n", test="0 0\n3 999\n")
    data = load_task(dataclasses.replace(BASE, dataset="mine"), 0).data
    assert (data.users, data.items) == (9, 13) and len(data.test) == 2
    found = trained(dataclasses.replace(BASE, dataset="mine"))
    assert 0 <= found["test_recall20_train_percent"] <= 100


@pytest.mark.parametrize(
    ("lines", "changes", "words"),
    [
        ("1 1\n1 2\n2 1\n2 3\n", {}, "mine has an empty validation part: choose selection=last"),
        (
            BLOCK,
            {"method": "ncl", "clusters": 9},
            "clusters must be at most the nodes of each side, 8 users and 12 items",
        ),
        (BLOCK, {"method": "xsimgcl", "contrast_layer": 3}, "contrast_layer must be at most layers, 2; got 3"),
        ("".join(f"1 {i}\n2 {i}\n" for i in range(4)) + "3 0\n", {"selection": "last"}, None),
        (BLOCK, {"method": "sgl", "drop": 0.9}, None),  # a view has 4 edges for 20 nodes
        (BLOCK, {"method": "sgl", "drop": 0.99}, "leaves the graph no edge; choose a smaller one"),
    ],
)
def test_what_cannot_be_trained_is_one_line(mine, lines, changes, words):
    own_set(mine, lines)
    config = dataclasses.replace(BASE, dataset="mine", **changes)
    if words is None:
        trained(config)
        return
    with pytest.raises(ValueError, match=words) as caught:
        trained(config)
    assert "\n" not in str(caught.value)


def test_a_user_with_every_item_is_one_line(mine):
    own_set(mine, "".join(f"1 {item}\n" for item in range(4)) + "2 0\n2 1\n", test="2 2\n", valid="2 3\n")
    with pytest.raises(ValueError, match="mine has a user with all 4 items, so that no negative is left"):
        trained(dataclasses.replace(BASE, dataset="mine", selection="last"))


@pytest.mark.parametrize(
    ("dataset", "method", "words"),
    [
        ("lastfm-52k", "NCL-rec", "NCL-rec, whose five seeds keep an epoch from {} to {} of 300"),
        ("lastfm-93k", "SGL", "All five runs on `lastfm-93k` keep an epoch from {} to {} and stop by the 74th"),
    ],
)
def test_the_readme_names_the_epochs_that_the_rows_kept(dataset, method, words):
    folder = papers.paper("graph_recommendation").folder
    rows = rows_shipped(folder.parents[1] / "results", "graph_recommendation")
    kept = [row["metrics"]["selected_epoch"] for row in rows if (row["dataset"], row["method"]) == (dataset, method)]
    text = " ".join((folder / "README.md").read_text().split())
    assert len(kept) == 5 and words.format(round(min(kept)), round(max(kept))) in text
