"""Novel class discovery's parts: views, networks, Sinkhorn-Knopp, the estimate of the number of classes."""

import dataclasses
from typing import Any

import pytest
import torch
from discovery_stages import TASK, Handed, result

from benchmarks.novel_class_discovery import discover as stage3
from benchmarks.novel_class_discovery import outcome as numbers
from benchmarks.novel_class_discovery import speed, speed_steps, tables
from benchmarks.novel_class_discovery import task as task_module
from benchmarks.novel_class_discovery.config import ENCODERS as CHOICES
from benchmarks.novel_class_discovery.config import Cluster, Estimate, Mean
from benchmarks.novel_class_discovery.discover import Joint, ramp_up
from benchmarks.novel_class_discovery.model import ENCODERS, Block, network
from benchmarks.novel_class_discovery.protocols import SMOKE, TREC
from benchmarks.novel_class_discovery.tables import METHODS
from benchmarks.novel_class_discovery.task import class_numbers, load_task
from benchmarks.novel_class_discovery.uno import sinkhorn
from benchmarks.novel_class_discovery.views import VIEWS, rotate
from contrastbench.data.images import Images, Split
from contrastbench.randomness import generator
from contrastbench.runner import Log

pytestmark = pytest.mark.usefixtures("few_digits")


def test_views_are_shifts_and_mirror_images() -> None:
    images = torch.randint(256, (40, 3, 8, 8), generator=generator(0, "images"), dtype=torch.uint8)
    for name, mode in (("crop", "constant"), ("reflect", "reflect")):
        views = VIEWS[name]
        draws = {key: value[0] for key, value in views.draw(1, tuple(images.shape), generator(0, "draws")).items()}
        ours = views.view(images, draws)
        padded = torch.nn.functional.pad(images.float() / 255, (4, 4, 4, 4), mode=mode)
        for i in range(40):
            top, left = 4 + int(draws["down"][i]), 4 + int(draws["right"][i])
            expected = padded[i, :, top : top + 8, left : left + 8]
            torch.testing.assert_close(ours[i], expected.flip(2) if draws["flip"][i] else expected)
        assert 5 < int(draws["flip"].sum()) < 35 and set(draws["down"].tolist()) == set(range(-4, 5))


def test_dropout_leaves_out_a_tenth_of_the_features_and_keeps_their_mean() -> None:
    features, views = torch.ones(50, 400, 1, 1), VIEWS["dropout"]
    draws = views.draw(2, tuple(features.shape), generator(0, "draws"))
    first, second = (views.view(features, {"kept": draws["kept"][number]}) for number in range(2))
    assert first.unique().tolist() == pytest.approx([0.0, 1 / 0.9]) and not torch.equal(first, second)
    assert float(first.mean()) == pytest.approx(1.0, abs=0.01)


def test_k_means_on_stage_3s_features_is_that_on_stage_2s_where_nothing_is_trained(artefacts: dict[str, Any]) -> None:
    config = dataclasses.replace(SMOKE.discover, epochs=0, kmeans_on_features=True)
    found = result("discover", config, Handed(artefacts))
    alone = result("cluster", Cluster(**TASK), Handed({"features": artefacts["supervise"]}))
    for name in ("train_novel_accuracy_percent", "train_novel_nmi_percent", "test_novel_ari_percent"):
        assert found[name.replace("novel_", "novel_kmeans_")] == alone[name]


def test_questions_go_through_both_stages_with_one_layer_that_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clouds of features for each class in the place of MiniLM's."""
    labels = torch.arange(240) % 6
    features = 3 * torch.eye(6)[labels].repeat(1, 2) + torch.randn(240, 12, generator=generator(0, "features"))
    split = Split(features[:, :, None, None], labels)
    clouds = Images("TREC", split, split, 6, "0" * 64, (), (), "sentences")
    monkeypatch.setattr(task_module, "questions", lambda: clouds)
    monkeypatch.setattr(task_module, "load_pretrained", lambda name: clouds)
    second, small = Handed(), {"epochs": 8, "batch": 40}
    result("supervise", dataclasses.replace(TREC.supervise, **small, start="nothing", frozen=False), second)
    short = {"queue": 40, "labelled_queue": 40, "neighbours": 6, "safe": 5, "keep": 40, "learning_rate": 0.01}
    needs = Handed({"supervise": second.kept})
    found = result("discover", dataclasses.replace(TREC.discover, **small, **short, hard_from_epoch=3), needs)
    assert found["train_novel_kmeans_accuracy_percent"] > 90 and 0 <= found["test_known_accuracy_percent"] <= 100
    found = result("uno", dataclasses.replace(TREC.uno, **small), needs)
    assert found["train_novel_kmeans_accuracy_percent"] > 50


def test_images_are_turned_four_ways() -> None:
    image = torch.arange(4.0).view(1, 1, 2, 2)
    assert rotate(image).flatten(1).tolist() == [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]


def test_the_cifar_network_is_a_resnet18_without_convolutions_in_its_shortcuts() -> None:
    model = network("resnet18_cifar", channels=3, heads={"known": 5}, rng=generator(0, "weights"))
    assert model.features(torch.rand(2, 3, 32, 32)).shape == (2, 512)
    convolutions = [part for part in model.modules() if isinstance(part, torch.nn.Conv2d)]
    assert len(convolutions) == 17 and all(part.kernel_size == (3, 3) for part in convolutions)
    assert sum(p.numel() for p in convolutions[0].parameters()) == 64 * 27
    block = Block(2, 4, stride=2).eval()
    torch.nn.init.zeros_(block.norm2.weight)  # leaves the shortcut alone
    x = torch.rand(1, 2, 4, 4)
    y = block(x)
    torch.testing.assert_close(y[:, :2], torch.nn.functional.avg_pool2d(x, 2))
    assert not y[:, 2:].any()


def test_sinkhorn_gives_images_to_clusters_of_one_size() -> None:
    logits = torch.randn(60, 4, generator=generator(0, "logits"))
    counted = torch.arange(60) < 48
    q = sinkhorn(logits, counted, 200, 0.5)
    torch.testing.assert_close(q[:48].sum(dim=1), torch.ones(48))
    torch.testing.assert_close(q.sum(dim=0), torch.full((4,), 12.0), rtol=1e-3, atol=1e-3)
    assert not q[48:].any()
    torch.testing.assert_close(q[:48], sinkhorn(logits[:48], counted[:48], 200, 0.5))


def test_the_ramp_is_the_papers() -> None:
    assert ramp_up(0, 50) == pytest.approx(0.006737947) and ramp_up(50, 50) == ramp_up(80, 50) == 1.0


def test_the_estimate_finds_the_number_of_classes_that_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Estimate(**TASK, probe=3, anchors=1, most=6, starts=3, images_per_class=30)
    task = load_task(dataclasses.replace(config, novel="3-6"), "cpu", Log())
    labels = torch.cat([task.labels, task.known + task.novel_labels_for_evaluation])
    blobs = 20 * torch.eye(7)[labels] + torch.randn(len(labels), 7, generator=generator(0, "blobs"))
    monkeypatch.setattr(numbers, "load_task", lambda *_: task)
    monkeypatch.setattr(numbers, "features_of", lambda *_: lambda source, first=0: blobs[first:])
    found = result("estimate", config)
    assert found["estimated_classes"] == 4.0 and found["estimate_error_classes"] == 0.0
    assert found["numbers"] == [2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_number_that_was_estimated_decides_clusters_and_neighbours(artefacts: dict[str, Any]) -> None:
    config = dataclasses.replace(SMOKE.discover, clusters=-1, neighbours=0)
    task = load_task(config, "cpu", Log())
    settled = stage3.with_estimated_classes(config, task, Handed({"estimate": {"estimated_classes": 4.0}}))
    assert (settled.clusters, settled.neighbours) == (4, config.queue // 8)
    handed = Handed({**artefacts, "estimate": {"estimated_classes": 4.0}})
    assert 0 <= result("discover", config, handed)[tables.TRAIN] <= 100


def test_a_mean_over_subsets_is_the_mean_of_their_rows() -> None:
    needs = {subset: {tables.TRAIN: value} for subset, value in zip("ABC", (10.0, 20.0, 60.0), strict=True)}
    assert result("mean", Mean(), Handed(needs)) == {tables.TRAIN: 30.0}


def test_class_numbers_are_ranges_and_lists() -> None:
    assert class_numbers("known", "0-2,7") == [0, 1, 2, 7]
    assert set(ENCODERS) == set(CHOICES)


def test_the_loop_the_mixed_vectors_and_the_cosines_are_timed_at_one_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speed.SIZES, "small", (8, 60, 16, 5, 2, 12, 6))
    assert [line["way"] for line in speed.lines("cpu", ("small",), turns=1)] == [*speed.WAYS]
    original = speed.one_by_one
    monkeypatch.setattr(speed, "one_by_one", lambda *given: 1.001 * original(*given))
    with pytest.raises(AssertionError, match="not equal|not close"):
        list(speed.lines("cpu", ("small",), turns=1))


def test_whole_steps_are_timed_with_all_losses_that_a_method_ever_has(monkeypatch: pytest.MonkeyPatch) -> None:
    phases: list[tuple[bool, bool]] = []
    original = Joint.__call__

    def seen(self: Joint, **given: Any) -> torch.Tensor:
        phases.append((given["with_ncl"], "partners" in given))
        return original(self, **given)

    monkeypatch.setattr(Joint, "__call__", seen)
    lines = list(speed_steps.lines("cpu", "small", batch=16, images=64, steps=1, turns=1))
    assert [line["method"] for line in lines] == [*METHODS]
    assert lines[0]["times_baseline"] == 1.0 and all(line["milliseconds"] > 0 for line in lines)
    by_method = dict(zip(METHODS, phases[: len(METHODS)], strict=True))
    assert by_method["BCE"] == (False, False) and by_method["BCE + NCL + SCL"] == (True, False)
    assert by_method["NCL"] == (True, True)
