"""Novel class discovery: every chain runs and repeats, steps suit a GPU, and what cannot be says so in one line."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss, normalize

from benchmarks.novel_class_discovery import discover as stage3
from benchmarks.novel_class_discovery import estimate as numbers
from benchmarks.novel_class_discovery import figures, tables
from benchmarks.novel_class_discovery import train as stages
from benchmarks.novel_class_discovery.config import Cluster, Discover, Estimate, Mean, Pretrain, Supervise, Uno
from benchmarks.novel_class_discovery.model import ENCODERS, Block, network
from benchmarks.novel_class_discovery.pictures import imagenet
from benchmarks.novel_class_discovery.stages import Seen
from benchmarks.novel_class_discovery.task import class_numbers, load_task, mixed_batches
from benchmarks.novel_class_discovery.uno import sinkhorn
from benchmarks.novel_class_discovery.views import VIEWS, rotated
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.report.published import read_published
from contrastbench.runner import Checkpoint, Log, Run
from contrastbench.runner.execute import Host, execute, write_ticket
from contrastbench.runner.rows import read_row
from contrastbench.runner.vocabulary import SCALES, chain
from contrastbench.training import TrainingStep

SMOKE = tables.SMOKE
TASK = {name: getattr(SMOKE.discover, name) for name in ("dataset", "known", "novel", "encoder", "views", "statistics")}


@pytest.fixture(autouse=True)
def one_thread():
    """Bit for bit is promised on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Handed(Checkpoint):
    """A checkpoint that hands over artefacts and metrics without any folder of theirs."""

    def __init__(self, needs: dict[str, Any] | None = None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.needs, self.kept = needs or {}, {}

    def needed(self, name: str) -> Any:
        return self.needs[name]

    def needed_metrics(self, name: str) -> Any:
        return self.needs[name]

    def keep(self, **parts: Any) -> None:
        self.kept = {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}


def result(stage: str, config: Any, checkpoint: Checkpoint | None = None, *, log: Log | None = None, **options: Any):
    given = {"seed": 0, "device": "cpu", "checkpoint": checkpoint or Handed(), "log": log or Log(), **options}
    return getattr(stages, stage)(config, **given)


@pytest.fixture(scope="module")
def artefacts() -> dict[str, Any]:
    """What stages 1 and 2 keep at smoke scale."""
    first, second = Handed(), Handed()
    result("pretrain", SMOKE.pretrain, first)
    second.needs = {"pretrain": first.kept}
    result("supervise", SMOKE.supervise, second)
    return {"pretrain": first.kept, "supervise": second.kept}


# ------------------------------------------------------------------------------------------------------------ tables


def done(run: Run, folder: Path, rows: dict[str, Any]) -> None:
    """Does the run after all that it needs, as the runner would."""
    for key, each in chain([run]).items():
        if key not in rows:
            execute(write_ticket(each, folder, []), Host())
            rows[key] = read_row(folder / each.paper / key / "row.json")


def test_every_table_runs_at_smoke_scale(tmp_path: Path) -> None:
    rows: dict[str, Any] = {}
    for table in tables.TABLES:
        cells = tables.cells(table, "smoke", seeds=[0])
        assert cells
        for cell in cells:
            (run,) = cell.runs
            done(run, tmp_path, rows)
            row = rows[run.key]
            assert row["status"] == "done", row["error"]
            assert cell.metric in row["metrics"], cell.name
            assert row["data"].keys() == {"mnist5k"}
            percents = [value for name, value in row["metrics"].items() if name.endswith("accuracy_percent")]
            assert all(0 <= value <= 100 for value in percents)
    drawn = {name for name, draw in figures.FIGURES.items() if draw(list(rows.values()))}
    assert drawn == {*figures.FIGURES} - {"spread"}  # of one seed there is none
    assert all(draw([]) is None for draw in figures.FIGURES.values())


def test_the_figure_of_the_spread_has_every_seed() -> None:
    def row(method: str, seed: int) -> dict[str, Any]:
        place = {"stage": "discover", "status": "done", "scale": "quick", "dataset": "MNIST-5k 5/5"}
        return {**place, "method": method, "seed": seed, "metrics": {tables.TRAIN: 50.0 + seed}}

    rows = [row(tables.WITHOUT_HARD, seed) for seed in range(3)]
    rows += [row(f"{tables.WITHOUT_HARD}, one checkpoint", seed) for seed in (1, 2)]  # seed 0 is the same run
    figure = figures.FIGURES["spread"](rows)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [3, 3]


def test_methods_share_the_first_two_stages_of_their_seed() -> None:
    runs = chain(run for cell in tables.cells("main", "quick") for run in cell.runs).values()
    by_stage = {stage: [run for run in runs if run.stage == stage] for stage in ("pretrain", "supervise", "discover")}
    assert [len(each) for each in by_stage.values()] == [5, 5, 25]
    assert all(run.needs["supervise"].seed == run.seed for run in by_stage["discover"])


def test_one_checkpoint_for_all_seeds_is_seed_0s() -> None:
    (cell,) = [c for c in tables.cells("shared", "lite") if "one checkpoint" in c.method and c.metric == tables.TRAIN]
    assert {run.needs["supervise"].seed for run in cell.runs} == {0}
    assert [run.seed for run in cell.runs] == [0, 1, 2]


def test_every_scale_and_table_gives_cells_or_an_empty_list() -> None:
    for scale in SCALES:
        for table in tables.TABLES:
            for cell in tables.cells(table, scale):
                assert {run.scale for run in cell.runs} == {scale}
    assert tables.cells("alpha", "quick") == tables.cells("shared", "quick") == []
    assert all(run.protocol == "clean" for cell in tables.cells("main", "quick") for run in cell.runs)


def test_the_curve_over_k_has_the_published_choice() -> None:
    for scale in SCALES:
        for name, protocol in tables.PROTOCOLS[scale].items():
            if scale != "smoke" and not name.startswith("ImageNet"):
                assert protocol.published_k in protocol.ks and protocol.discover.neighbours == protocol.published_k


def test_published_numbers_belong_to_cells_or_to_no_table_of_ours() -> None:
    places = {
        (table, cell.dataset, cell.method, cell.metric)
        for table in tables.TABLES
        for cell in tables.cells(table, "paper")
    }
    numbers = read_published(Path(tables.__file__).with_name("published.csv"))
    assert len(numbers) > 80
    assert all(number.place in places for number in numbers if number.table in tables.TABLES)
    assert sum(number.confirmed for number in numbers if number.place in places) >= 8


# --------------------------------------------------------------------------------------------------- repeat and resume

TINY = {
    "pretrain": dataclasses.replace(SMOKE.pretrain, epochs=3),
    "supervise": dataclasses.replace(SMOKE.supervise, epochs=3),
    "discover": dataclasses.replace(SMOKE.discover, epochs=3, hard_from_epoch=1),
    "uno": dataclasses.replace(SMOKE.uno, epochs=3),
}


@pytest.mark.parametrize("stage", TINY)
def test_a_resumed_run_ends_as_an_undisturbed_one(stage: str, artefacts: dict[str, Any], tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(line: dict[str, Any]) -> None:
        if line["epoch"] == 1:
            raise KilledError

    undisturbed, resumed_epochs = Handed(artefacts), []
    expected = result(stage, TINY[stage], undisturbed)
    log = Log(tmp_path, kill)
    with pytest.raises(KilledError):
        result(stage, TINY[stage], Handed(artefacts, tmp_path, log, every_seconds=0), log=log)
    log = Log(tmp_path, lambda line: resumed_epochs.append(line["epoch"]))
    resumed = Handed(artefacts, tmp_path, log, every_seconds=0)
    assert result(stage, TINY[stage], resumed, log=log) == expected
    assert resumed_epochs == [1, 2]
    for name, value in undisturbed.kept.get("encoder", {}).items():
        assert torch.equal(resumed.kept["encoder"][name], value)


def test_half_precision_is_the_encoders_alone(artefacts: dict[str, Any]) -> None:
    config = dataclasses.replace(SMOKE.discover, epochs=1, precision="bf16")
    task = load_task(config, "cpu", Log())
    features = torch.cat(Seen(config, task).all(network_of(task), task.test_known))
    assert features.dtype == torch.float32
    exact = torch.cat(Seen(SMOKE.discover, task).all(network_of(task), task.test_known))
    assert 0 < (features - exact).abs().max() < 0.1 * exact.max()
    assert 0 <= result("discover", config, Handed(artefacts))[tables.TRAIN] <= 100


def test_stage_3_leaves_the_frozen_part_alone(artefacts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    original = stage3.built
    monkeypatch.setattr(stage3, "built", lambda *args: models.append(original(*args)) or models[0])
    result("discover", TINY["discover"], Handed(artefacts))
    before, after = artefacts["supervise"]["encoder"], models[0].encoder_state()
    frozen = [name for name in after if name.startswith("below.") and "running" not in name and "tracked" not in name]
    assert frozen and all(torch.equal(after[name], before[name]) for name in frozen)
    assert not torch.equal(after["last.0.conv1.weight"], before["last.0.conv1.weight"])
    assert not torch.equal(after["below.1.running_mean"], before["below.1.running_mean"])  # as in the authors' code


# ------------------------------------------------------------------------------------------- the step on a GPU's terms


class ReachedError(Exception):
    """The epoch's steps are taken."""


@pytest.mark.parametrize("stage", [*TINY, "discover as_paper", "discover ranks"])
def test_a_whole_epoch_of_steps_goes_through_on_the_meta_device(
    stage: str, artefacts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU would refuse inside a captured step (an input left on the CPU, a question to it) fails there too."""

    def reached(*_: Any) -> None:
        raise ReachedError

    config = TINY[stage.split()[0]]
    if stage == "discover as_paper":
        config = dataclasses.replace(config, **tables.as_paper(SMOKE) | {"queue": 200})
    if stage == "discover ranks":
        config = dataclasses.replace(config, pairs="ranks")
    if isinstance(config, Discover):
        config = dataclasses.replace(config, ncl_from_epoch=0, hard_from_epoch=0)
    monkeypatch.setattr(TrainingStep, "mean_loss", reached)
    with pytest.raises(ReachedError):
        result(stage.split()[0], config, Handed(artefacts), device="meta")


def test_all_steps_of_a_run_have_the_same_shapes() -> None:
    task = load_task(SMOKE.discover, "cpu", Log())
    config = dataclasses.replace(SMOKE.discover, epochs=3, hard_from_epoch=0, ncl_from_epoch=0, mixing="random")
    plan = stage3.Plan(config, task, seed=0)
    joint = stage3.Joint(config, Seen(config, task), network_of(task), stage3.Memory(config, 64, 0), plan)
    shapes = set()
    for epoch in range(3):
        rng = generator(0, "augmentation", epoch)
        for number, batch in enumerate(mixed_batches(task, config.batch, 0, 0, epoch)):
            given = joint.inputs(batch, epoch, number, rng)
            shapes.add(tuple((name, value.shape, value.dtype) for name, value in given.items()))
    assert len(shapes) == 1


def network_of(task: Any, clusters: int = 2) -> Any:
    heads = {"known": task.known, "novel": clusters}
    return network("small", channels=1, heads=heads, rng=generator(0, "weights"))


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("pairs", ["cosine", "ranks"])
def test_the_masked_joint_loss_is_the_loss_of_the_rows_themselves(hard: bool, pairs: str) -> None:
    """With boolean indexing in place of masks, one pair after the other, and queues that are lists."""
    config = dataclasses.replace(
        SMOKE.discover,
        **{"epochs": 1, "ncl_from_epoch": 0, "hard_from_epoch": 0 if hard else -1, "pairs": pairs, "threshold": 0.99},
        ncl=0.7,
    )
    task = load_task(config, "cpu", Log())
    model, seen, memory = network_of(task), Seen(config, task), stage3.Memory(config, 64, 0)
    plan = stage3.Plan(config, task, seed=0)
    joint = stage3.Joint(config, seen, model, memory, plan)
    queue, other, queue_labels = (part.clone() for part in (memory.unlabelled, memory.labelled, memory.labels))
    for number, batch in enumerate(mixed_batches(task, config.batch, 0, 0, 0)[:3]):
        given = joint.inputs(batch, 0, number, generator(0, "augmentation", number))
        state = {name: value.clone() for name, value in model.state_dict().items()}
        loss = joint(**given, **joint.phase(0))
        model.load_state_dict(state)
        shown = {name: given[name] for name in ("index", "down", "right", "flip")}
        z, z_bar = (model.features(seen.view(shown, view)) for view in range(2))
        n = batch.unlabelled
        unlabelled, labelled = torch.arange(len(z)) < n, torch.arange(len(z)) >= n
        labels = task.labels[batch.index[labelled]]
        assert bool((batch.index[unlabelled] >= task.labelled).all())
        expected = cross_entropy(model.heads["known"](z[labelled]), labels) + pairs_one_by_one(
            config, model, z[unlabelled], z_bar[unlabelled]
        )
        for head in ("known", "novel"):
            p, p_bar = (model.heads[head](features).softmax(dim=1) for features in (z, z_bar))
            expected = expected + config.consistency * stage3.ramp(0, config.ramp_epochs) * mse_loss(p, p_bar)
        options = {"neighbours": config.neighbours, "variant": config.neighbour_search}
        if hard:
            partners = given["partners"][:n]
            options["hard_cosines"] = losses.hard_negative_cosines(
                z[unlabelled], queue[:-1], other[:-1], partners, keep=config.keep
            )
        expected = expected + config.ncl * losses.ncl(z[unlabelled], z_bar[unlabelled], queue[:-1], **options)
        expected = expected + config.scl * losses.scl(
            z[labelled], z_bar[labelled], labels, other[:-1], queue_labels[:-1]
        )
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
        u = normalize(z.detach(), dim=1)
        for place, row in enumerate(u[unlabelled]):
            queue[(plan.unlabelled_before[0][number] + place) % config.queue] = row
        for place, row in enumerate(u[labelled]):
            slot = (plan.labelled_before[0][number] + place) % config.labelled_queue
            other[slot], queue_labels[slot] = row, labels[place]
        for ours, theirs in ((memory.unlabelled, queue), (memory.labelled, other), (memory.labels, queue_labels)):
            torch.testing.assert_close(ours[:-1], theirs[:-1])


def pairs_one_by_one(config: Discover, model: Any, z: torch.Tensor, z_bar: torch.Tensor) -> torch.Tensor:
    p, p_bar = (model.heads["novel"](features).softmax(dim=1) for features in (z, z_bar))
    u, terms = normalize(z.detach(), dim=1), []
    strongest = [set(row.argsort(descending=True)[: config.ranks].tolist()) for row in z.detach()]
    for i in range(len(z)):
        for j in range(len(z)):
            same = u[i] @ u[j] > config.threshold if config.pairs == "cosine" else strongest[i] == strongest[j]
            likelihood = p[i] @ p_bar[j] if same else 1 - p[i] @ p_bar[j]
            terms.append(-(likelihood + 1e-7).log())
    return torch.stack(terms).mean()


# -------------------------------------------------------------------------------------------------------- the parts


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


def test_images_are_turned_four_ways() -> None:
    image = torch.arange(4.0).view(1, 1, 2, 2)
    assert rotated(image).flatten(1).tolist() == [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]


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
    assert stage3.ramp(0, 50) == pytest.approx(0.006737947) and stage3.ramp(50, 50) == stage3.ramp(80, 50) == 1.0


def test_the_learning_rate_drops_an_epoch_early_as_the_code_does(artefacts: dict[str, Any]) -> None:
    rates: list[float] = []
    config = dataclasses.replace(SMOKE.discover, epochs=4, drop_every=3)
    original = stage3.set_rate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage3, "set_rate", lambda optimizer, rate: rates.append(rate) or original(optimizer, rate))
        result("discover", config, Handed(artefacts))
    assert [rate / config.learning_rate for rate in rates] == pytest.approx([1.0, 1.0, 0.1, 0.1])


def test_the_estimate_finds_the_number_of_classes_that_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Estimate(**TASK, probe=3, anchors=1, most=6, starts=3, images_per_class=30)
    task = load_task(dataclasses.replace(config, novel="3-6"), "cpu", Log())
    labels = torch.cat([task.labels, task.known + task.novel_labels_for_evaluation])
    blobs = 20 * torch.eye(7)[labels] + torch.randn(len(labels), 7, generator=generator(0, "blobs"))
    monkeypatch.setattr(numbers, "load_task", lambda *_: task)
    monkeypatch.setattr(numbers, "Features", lambda *_: lambda source, first, last: blobs[first:last])
    found = result("estimate", config)
    assert found["estimated_classes"] == 4.0 and found["estimate_error_classes"] == 0.0
    assert found["numbers"] == [2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_number_that_was_estimated_decides_clusters_and_neighbours(artefacts: dict[str, Any]) -> None:
    config = dataclasses.replace(SMOKE.discover, clusters=-1, neighbours=0)
    task = load_task(config, "cpu", Log())
    settled = stage3.counted(config, task, Handed({"estimate": {"estimated_classes": 4.0}}))
    assert (settled.clusters, settled.neighbours) == (4, config.queue // 8)
    handed = Handed({**artefacts, "estimate": {"estimated_classes": 4.0}})
    assert 0 <= result("discover", config, handed)[tables.TRAIN] <= 100


def test_a_mean_over_subsets_is_the_mean_of_their_rows() -> None:
    needs = {subset: {tables.TRAIN: value} for subset, value in zip("ABC", (10.0, 20.0, 60.0), strict=True)}
    assert result("mean", Mean(), Handed(needs)) == {tables.TRAIN: 30.0}


# ------------------------------------------------------------------------------------------------- ImageNet as a folder


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as ImageNet's: five classes of pictures of several sizes, of which two are held out."""
    from PIL import Image

    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    root, rng = tmp_path / "imagenet", generator(0, "pictures")
    for split, count in (("train", 6), ("val", 3)):
        for name in ("n01", "n02", "n03", "n04", "n05", "n06"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                height, width = (int(side) for side in torch.randint(40, 90, (2,), generator=rng))
                pixels = torch.randint(256, (height, width, 3), generator=rng, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(root / split / name / f"{number}.png")
    (root / "splits").mkdir()
    (root / "splits" / "imagenet_118.txt").write_text("n02\nn04\nn05\n")
    (root / "splits" / "imagenet_30_A.txt").write_text("n05\nn02\n")
    return root


def test_imagenet_comes_from_a_folder_and_goes_through_both_stages(pictures: Path) -> None:
    assert imagenet("imagenet_A").classes == ("n01", "n03", "n06", "n02", "n05")
    protocol = tables.PROTOCOLS["paper"]["ImageNet-882/30"]
    small = {"known": "0-2", "novel": "3-4", "epochs": 1}
    second = Handed()
    supervised = result("supervise", dataclasses.replace(protocol.supervise, **small, batch=8), second)
    assert 0 <= supervised["test_known_accuracy_percent"] <= 100
    discover = dataclasses.replace(
        protocol.discover,
        **{**small, "batch": 8, "unlabelled_batch": 4, "queue": 16, "labelled_queue": 16, "neighbours": 4, "safe": 4},
        **{"keep": 20, "ncl_from_epoch": 0, "hard_from_epoch": 0},
    )
    log = Log()
    found = result("discover", discover, Handed({"supervise": second.kept}), log=log)
    assert 0 <= found[tables.TRAIN] <= 100 and len(log.data_sha256["imagenet_A"]) == 64


def test_an_incomplete_imagenet_folder_gets_one_line(pictures: Path) -> None:
    (pictures / "splits" / "imagenet_30_B.txt").write_text("n01\n")
    with pytest.raises(ValueError, match="imagenet_30_B.txt names n01, which imagenet_118.txt does not hold out"):
        imagenet("imagenet_B")
    with pytest.raises(ValueError, match=r"imagenet_30_C.txt is missing; it lists class names"):
        imagenet("imagenet_C")
    (pictures / "val" / "n02").rename(pictures / "elsewhere")
    with pytest.raises(ValueError, match=r"val/n02 is missing; imagenet_A needs train/ and val/"):
        imagenet("imagenet_A")


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"novel": "7"}, "novel needs at least 2 different classes, got '7'"),
        ({"novel": "7,7"}, "novel needs at least 2 different classes, got '7,7'"),
        ({"known": "0-4", "novel": "4-6"}, "classes cannot be known and novel at once: 4"),
        ({"known": "0-4", "novel": "8-12"}, "mnist5k has classes 0 to 9; novel asks for 12"),
        ({"known": "zero"}, "known must be class numbers like 0-4 or 0-2,7, got 'zero'"),
        ({"neighbours": 129}, r"neighbours must be in \[1, 128\], the length of the queue, got 129"),
        ({"queue": 20, "neighbours": 5}, r"queue must hold a batch's \d+ images, got 20"),
        ({"batch": 2, "queue": 2000}, "has no .*labelled image; a batch of 2 is too small"),
        ({"batch": 4000}, "batch must be at most 1500, the number of training images; got 4000"),
        ({"batch": 64, "unlabelled_batch": 64}, "a batch of 64 with 64 unlabelled images cannot be made of 900"),
        ({"clusters": 1}, "clusters must be at least 2, or 0 for the number of novel classes; got 1"),
        ({"pairs": "pixels"}, "unknown pairs 'pixels'; novel_class_discovery has: cosine, ranks"),
        ({"views": "none"}, "unknown views 'none'; novel_class_discovery has: crop, reflect, digits, imagenet"),
        ({"encoder": "vgg"}, "unknown encoder 'vgg'; novel_class_discovery has: small, resnet18_cifar, resnet18"),
        ({"encoder": "resnet18_cifar"}, "the artefact of supervise was made with encoder=small, this run has encoder="),
        ({"known": "0-3", "novel": "4-5"}, "the artefact of supervise was made with known=0-2, this run has known=0-3"),
        ({"dataset": "digits"}, "the artefact of supervise was made with dataset=mnist5k, this run has dataset=digits"),
        ({"precision": "int8"}, "unknown precision 'int8'; novel_class_discovery has: float32, bf16"),
        ({"statistics": "code"}, "statistics must be own, or code for images of 3 channels, got 'code'"),
        ({"hard_from_epoch": 0, "ncl_from_epoch": 0, "keep": 51}, r"keep must be in \[1, 2 \* rounds \* safe = 50\]"),
    ],
)
def test_a_bad_setting_gets_one_line(change: dict[str, Any], message: str, artefacts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        result("discover", dataclasses.replace(SMOKE.discover, **change), Handed(artefacts))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "config", "message"),
    [
        ("pretrain", Pretrain(**TASK, batch=1501), "batch must be 2 to 1500, the number of training images; got 1501"),
        (
            "supervise",
            Supervise(**TASK, start="half"),
            "unknown start 'half'; novel_class_discovery has: pretrain, noth",
        ),
        ("cluster", Cluster(**TASK, source="nowhere"), "unknown source 'nowhere'"),
        ("estimate", Estimate(**TASK, probe=4), "probe at most 3, the number of known classes; got 2 and 4"),
        ("estimate", Estimate(**TASK, probe=2, anchors=2), "anchors must be below probe"),
        ("uno", Uno(**TASK, batch=1501), "batch must be at most 1500"),
    ],
)
def test_a_bad_setting_of_another_stage_gets_one_line(
    stage: str, config: Any, message: str, artefacts: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        result(stage, config, Handed(artefacts))
    assert "\n" not in str(caught.value)


def test_a_run_that_diverges_names_the_epoch(artefacts: dict[str, Any]) -> None:
    with pytest.raises(FloatingPointError, match="in epoch 0"):
        result("discover", dataclasses.replace(SMOKE.discover, learning_rate=1e30), Handed(artefacts))


def test_class_numbers_are_ranges_and_lists() -> None:
    assert class_numbers("known", "0-2,7") == [0, 1, 2, 7]
    assert sorted(ENCODERS) == ["resnet18", "resnet18_cifar", "small"]
