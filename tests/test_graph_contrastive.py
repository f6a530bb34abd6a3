"""The graph papers' runs: same seed same row, resumed or not; what the tables hold; what bad input says."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kinds import kind_of

from baselines.graph_kernels import feature_sum, graphlet_kernel, shortest_path_kernel, weisfeiler_leman_kernel
from benchmarks.graph_contrastive import train as train_module
from benchmarks.graph_contrastive.config import Config
from benchmarks.graph_contrastive.tables import PAPER
from contrastbench.data import graph_views
from contrastbench.data.graphs import GraphSet, load_graphs
from contrastbench.runner import Checkpoint, Log

SMOKE = {
    kind_of(run): run for name in PAPER.tables for cell in PAPER.cells(name, "smoke", seeds=[0]) for run in cell.runs
}
SHORT = {"epochs": 3, "evaluate_at": (0,), "folds": 3, "inner_folds": 3}


pytestmark = pytest.mark.usefixtures("one_thread")


def done(config: Config, seed: int = 0, folder: Path | None = None, stage: str = "train"):
    log = Log(folder)
    checkpoint = Checkpoint(folder, log, every_seconds=0)
    return getattr(train_module, stage)(config, seed=seed, device="cpu", checkpoint=checkpoint, log=log), log


@pytest.fixture(scope="module")
def mutag(tmp_path_factory) -> GraphSet:
    return load_graphs("MUTAG", tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize(
    "run", SMOKE.values(), ids=[f"{run.method}-{run.protocol}-{run.key[:6]}" for run in SMOKE.values()]
)
def test_every_kind_of_run_smokes(run):
    metrics, log = done(run.config, stage=run.stage)
    accuracies = {name: value for name, value in metrics.items() if "accuracy" in name and "sd" not in name}
    assert accuracies and all(np.min(value) >= 0 and np.max(value) <= 100 for value in accuracies.values())
    assert set(log.data_sha256) == {"MUTAG"} and "C by cross-validation" in log.selection or "held out" in log.selection


def test_the_first_fold_draw_is_the_published_protocols_own_and_the_others_differ():
    config = Config(**SHORT)
    published, _ = done(config)
    drawn, _ = done(config, stage="fold_draws")
    draws = drawn["test_svm_accuracy_by_fold_draw_percent"]
    assert drawn["test_svm_accuracy_percent"] == draws[0] == published["test_svm_accuracy_percent"]
    assert len(draws) == 10 and len(set(draws)) > 1
    assert drawn["test_svm_accuracy_mean_over_fold_draws_percent"] == pytest.approx(np.mean(draws))
    assert drawn["test_svm_accuracy_sd_over_fold_draws_percent"] == pytest.approx(np.std(draws, ddof=1))


def test_scaling_has_the_published_accuracy_and_untrained_the_clean_one():
    config = Config(**SHORT)
    trained, _ = done(config, stage="scaling")
    assert trained["test_svm_accuracy_unscaled_percent"] == done(config)[0]["test_svm_accuracy_percent"]
    untrained = Config(**{**SHORT, "method": "untrained", "epochs": 0, "evaluate_at": ()})
    scaled, (clean, _) = done(untrained, stage="scaling")[0], done(dataclasses.replace(untrained, protocol="clean"))
    assert scaled["test_svm_accuracy_standardised_percent"] == pytest.approx(clean["test_svm_accuracy_percent"])
    assert scaled["test_svm_accuracy_unscaled_percent"] == pytest.approx(clean["test_svm_accuracy_unscaled_percent"])
    assert scaled["test_svm_accuracy_standardised_percent"] != scaled["test_svm_accuracy_unscaled_percent"]


CASES = {
    "infograph": {},
    "hard": {"method": "hard", "variant": "as_code", "beta": 1.0, "tau_plus": 0.5},
    "clean": {"protocol": "clean", "epochs": 1},
    "graphcl": {"method": "graphcl", "augmentation": "random4", "augmented_views": 2, "lr": 0.01},
    "supervised": {"method": "supervised", "dropout": 0.5, "batch": 32, "lr": 0.01},
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_interrupted_anywhere_and_resumed_ends_the_same(case, tmp_path, monkeypatch):
    config = Config(**{**SHORT, **CASES[case]})
    expected, _ = done(config)
    interruptions = 0
    for after in (1, 2, 3):
        folder = tmp_path / str(after)
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", interrupting(after))
            with pytest.raises(KeyboardInterrupt):
                done(config, folder=folder)
        interruptions += (folder / "checkpoint.pt").exists()
        assert done(config, folder=folder)[0] == expected
    assert interruptions == 3


def interrupting(after: int):
    """``Checkpoint.save`` that is followed by a Ctrl-C the ``after``-th time."""
    save, calls = Checkpoint.save, []

    def counted(self, epoch, **parts):
        save(self, epoch, **parts)
        calls.append(epoch)
        if len(calls) == after:
            raise KeyboardInterrupt

    return counted


def test_the_untrained_encoder_is_epoch_0_of_a_trained_one():
    untrained, _ = done(Config(method="untrained", epochs=0, evaluate_at=(), folds=3))
    trained, _ = done(Config(epochs=1, evaluate_at=(0,), folds=3))
    assert untrained["test_svm_accuracy_percent"] == trained["test_svm_accuracy_epoch_0_percent"]


def test_seeds_differ():
    config = Config(epochs=1, evaluate_at=(0,), folds=3)
    assert done(config, seed=0)[0] != done(config, seed=1)[0]


def test_the_best_epoch_on_the_test_folds_is_never_below_the_last():
    metrics, _ = done(Config(epochs=2, evaluate_at=(0, 1), folds=3))
    assert metrics["evaluated_epochs"] == [0, 1, 2]
    best = metrics["test_svm_accuracy_best_epoch_on_test_folds_percent"]
    assert best == max(metrics["test_svm_accuracy_by_epoch_percent"]) >= metrics["test_svm_accuracy_percent"]


def test_an_infinite_loss_ends_the_run_and_names_the_epoch():
    with pytest.raises(FloatingPointError, match="loss became NaN or infinite in step . of . in epoch"):
        done(Config(**{**SHORT, "lr": 1e30}))


def test_clean_encoders_never_see_their_test_graphs(monkeypatch, mutag):
    seen = []
    infomax = train_module.infomax
    monkeypatch.setattr(
        train_module,
        "infomax",
        lambda config, graphs, batches, *rest: seen.append(batches) or infomax(config, graphs, batches, *rest),
    )
    config = Config(protocol="clean", **{**SHORT, "epochs": 1})
    done(config)
    order, folds = train_module.shuffle(mutag, 0), train_module.folds_of(config, mutag, 0)
    assert len(seen) == len(folds) == 3
    for batches, (training, test) in zip(seen, folds, strict=True):
        graphs = torch.cat([batch.graphs for batch in batches]).tolist()
        assert sorted(graphs) == sorted(order[training]) and not set(graphs) & set(order[test])


def test_standardising_uses_training_items_alone():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [100.0, 7.0]])
    assert train_module.standardise(x, np.array([0, 1])).tolist() == [[-1.0, 0.0], [1.0, 0.0], [98.0, 2.0]]


# ------------------------------------------------------------------------------------------------------- baselines


def test_kernels_have_grakels_values(mutag):
    """On all of MUTAG, as GraKeL 0.1.11 computes them: the first graph's first values, and the sum of all."""
    values = {
        "shortest paths": (
            shortest_path_kernel(mutag),
            [1, 0.9105562817222274, 0.9082539865544058],
            30047.138642716513,
        ),
        "graphlets": (graphlet_kernel(mutag, 5, 0), [1, 0.9353312625382808, 0.9336151024699769], 32803.545183847105),
        "subtrees": (weisfeiler_leman_kernel(mutag, 5), [1, 0.7545564956058213, 0.7401839909276152], 25030.06154555339),
    }
    for name, (kernel, first, total) in values.items():
        np.testing.assert_allclose(kernel[0, :3], first, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(kernel.sum(), total, rtol=1e-12, err_msg=name)


def test_graphs_without_edges_have_kernels(tmp_path):
    """A path of three nodes, three nodes without edges, and one alone, all of one label."""
    folder = tmp_path / "FEW"
    folder.mkdir()
    files = {"A": "1,2\n2,1\n2,3\n3,2\n", "graph_indicator": "1\n1\n1\n2\n2\n2\n3\n", "graph_labels": "1\n2\n1\n"}
    for suffix, text in files.items():
        (folder / f"FEW_{suffix}.txt").write_text(text)
    few = load_graphs("FEW", tmp_path, features="constant")
    np.testing.assert_allclose(shortest_path_kernel(few), np.diag([1, 0, 0]))
    np.testing.assert_allclose(graphlet_kernel(few, 5, 0), np.eye(3))
    np.testing.assert_allclose(np.diag(weisfeiler_leman_kernel(few, 2)), 1.0)
    with pytest.raises(ValueError, match=r"size must be in \[3, 7\], got 9"):
        graphlet_kernel(few, 9, 0)


def test_feature_sums_are_sums(mutag):
    expected = [
        mutag.features[a:b].sum(0).tolist() for a, b in zip(mutag.first_node[:-1], mutag.first_node[1:], strict=True)
    ]
    assert feature_sum(mutag).tolist() == expected


def subset(graphs: GraphSet, number: int) -> GraphSet:
    nodes = int(graphs.first_node[number])
    return dataclasses.replace(
        graphs,
        features=graphs.features[:nodes],
        edges=graphs.edges[:, (graphs.edges < nodes).all(0)],
        first_node=graphs.first_node[: number + 1],
        labels=graphs.labels[:number],
    )


# -------------------------------------------------------------------------------------------------- augmentations


@pytest.mark.parametrize("kind", ["drop_nodes", "subgraph", "drop_edges", "mask_nodes"])
def test_each_augmentation_changes_what_it_should(mutag, kind):
    plain = graph_views.Plain.of(mutag, np.arange(50, 80))
    batch = graph_views.augmented(plain, (kind,), np.random.default_rng(0))
    sizes = np.bincount(plain.graph_of_node)
    kept = batch.pool.matrix.to_dense().sum(1).numpy()
    edges = batch.adjacency.matrix.to_dense().sum() - len(batch.count)
    if kind == "drop_nodes":
        assert (kept == sizes - sizes // 10).all()
    elif kind == "subgraph":
        assert (kept >= 1).all() and (kept <= 1 + (0.2 * sizes).astype(int)).all() and kept.max() > 1
    elif kind == "drop_edges":
        directed = np.bincount(plain.graph_of_node[plain.edges[1]])
        assert (kept == sizes).all() and edges == (directed - directed // 10).sum()
    else:
        assert (kept == sizes).all() and edges == plain.edges.shape[1]
        one_hot = (batch.summed_features.sum(1) % 1).abs() < 1e-6  # sums of untouched one-hot rows are whole numbers
        assert 0.2 < one_hot.float().mean() < 0.9


@pytest.mark.parametrize("kind", ["drop_nodes", "drop_edges", "mask_nodes"])
def test_a_view_that_nothing_may_change_is_the_graph_itself(kind):
    """A tenth of three nodes and of six directed edges is none of them: the view of a triangle is the triangle."""
    corners = np.array([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
    plain = graph_views.Plain(
        features=np.eye(3, dtype=np.float32)[[0, 1, 2, 2, 1, 0]],
        edges=np.concatenate([corners, corners + 3], axis=1),
        graph_of_node=np.repeat([0, 1], 3),
        graphs=2,
    )
    view = graph_views.augmented(plain, (kind,), np.random.default_rng(0))
    whole = graph_views.whole_batch(torch.from_numpy(plain.features), plain.edges, plain.graph_of_node, 2)
    assert torch.equal(view.adjacency.matrix.to_dense(), whole.adjacency.matrix.to_dense())
    assert torch.equal(view.summed_features, whole.summed_features) and torch.equal(view.count, whole.count)


# ----------------------------------------------------------------------------------------------------- the tables


def test_every_scale_and_table_has_cells_of_its_own_name():
    for name in PAPER.tables:
        cells = PAPER.cells(name, "paper")
        assert len({(cell.name, cell.metric) for cell in cells}) == len(cells) > 0


def test_quick_runs_are_runs_of_the_published_protocol():
    paper = {run.key for cell in PAPER.cells("main", "paper") for run in cell.runs}
    quick = {run.key for cell in PAPER.cells("main", "quick") for run in cell.runs}
    assert len(quick) == 60 and quick <= paper


def test_tables_share_runs():
    main, beta, epochs = (
        {run.key for cell in PAPER.cells(name, "paper") for run in cell.runs} for name in ("main", "beta", "epochs")
    )
    assert beta <= main and epochs <= main


def test_an_unknown_scale_or_question_at_quick_scale_has_no_cells():
    assert PAPER.cells("main", "huge") == [] and PAPER.cells("sign", "quick") == []


def test_planning_imports_no_torch():
    code = (
        "import sys; from benchmarks.graph_contrastive import tables; tables.PAPER.cells('main', 'paper');"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env={"PYTHONPATH": str(root)}).returncode == 0


# ------------------------------------------------------------------------------------------------------ bad input


def test_a_set_smaller_than_the_folds_says_so(tmp_path, monkeypatch):
    folder = tmp_path / "SMALL"
    folder.mkdir()
    (folder / "SMALL_A.txt").write_text("1, 2\n2, 1\n3, 4\n4, 3\n")
    (folder / "SMALL_graph_indicator.txt").write_text("1\n1\n2\n2\n")
    (folder / "SMALL_graph_labels.txt").write_text("0\n1\n")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="the smallest class has 1 items; 10 folds need at least 10"):
        done(Config(dataset="SMALL"))


def test_graphs_without_edges_can_be_learnt_from(tmp_path, monkeypatch):
    folder = tmp_path / "DUST"
    folder.mkdir()
    (folder / "DUST_A.txt").write_text("")
    (folder / "DUST_graph_indicator.txt").write_text(
        "".join(f"{g + 1}\n" for g in range(20) for _ in range(1 + g % 2 * 3))
    )
    (folder / "DUST_graph_labels.txt").write_text("".join(f"{g % 2}\n" for g in range(20)))
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    metrics, _ = done(Config(dataset="DUST", epochs=1, evaluate_at=(), folds=2, inner_folds=2))
    assert metrics["test_svm_accuracy_percent"] == 100.0
