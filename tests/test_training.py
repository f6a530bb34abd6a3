"""The training step: equal to the plain loop, free of surprises on other devices, and sure to name a lost run."""

import copy

import pytest
import torch
from torch import Tensor, nn

from contrastbench.data.augmentation import draw_views, natural_recipe, normalised_views
from contrastbench.encoders.resnets import resnet18
from contrastbench.losses import hcl
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep, _Buffers, batches
from contrastbench.weights import seeded_module


def network() -> nn.Module:
    return seeded_module(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)), generator(0, "weights")
    )


def inputs(steps: int) -> list[dict[str, Tensor]]:
    rng = generator(0, "data")
    return [{"x": torch.randn(10, 6, generator=rng), "y": torch.randint(3, (10,), generator=rng)} for _ in range(steps)]


def stepped(network: nn.Module, optimizer: torch.optim.Optimizer, device: str = "cpu", **options) -> TrainingStep:
    def loss_of(x: Tensor, y: Tensor, scale: float = 1.0) -> Tensor:
        return scale * nn.functional.cross_entropy(network(x), y)

    return TrainingStep(loss_of, optimizer, modules=[network], device=device, **options)


def weights_of(network: nn.Module) -> list[Tensor]:
    return [part.detach().cpu().clone() for part in (*network.parameters(), *network.buffers())]


def test_batches_hold_every_number_once() -> None:
    whole = batches(10, 3, generator(1, "order"), drop_last=False)
    assert sorted(torch.cat(whole).tolist()) == list(range(10)) and [len(part) for part in whole] == [3, 3, 3, 1]
    assert [part.tolist() for part in batches(10, 3, generator(1, "order"))] == [p.tolist() for p in whole[:3]]


def test_on_a_cpu_a_step_is_the_plain_loop_bit_for_bit() -> None:
    plain = network()
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=0.1)
    total = torch.zeros(())
    for batch in inputs(5):
        loss = nn.functional.cross_entropy(plain(batch["x"]), batch["y"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    ours = network()
    step = stepped(ours, torch.optim.Adam(ours.parameters(), lr=0.01, weight_decay=0.1))
    for batch in inputs(5):
        step(**batch)
    assert all(map(torch.equal, weights_of(plain), weights_of(ours)))
    assert step.mean_loss() == float(total / 5) and step.last_loss == loss.item()


def test_a_loss_that_is_not_finite_is_named_with_its_step_and_epoch() -> None:
    model = network()
    step = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1))
    for number, batch in enumerate(inputs(4)):
        step(**batch, scale=float("nan") if number == 2 else 1.0)
    with pytest.raises(FloatingPointError, match="loss became NaN or infinite in step 3 of 4 in epoch 7"):
        step.mean_loss(7)


def test_an_epoch_without_a_step_is_an_error() -> None:
    model = network()
    with pytest.raises(ValueError, match="no step was taken"):
        stepped(model, torch.optim.Adam(model.parameters())).mean_loss()


def test_what_comes_after_the_update_is_part_of_the_step() -> None:
    model, slow = network(), network()

    def follow() -> None:
        for ours, theirs in zip(slow.parameters(), model.parameters(), strict=True):
            ours.lerp_(theirs, 0.5)

    step = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1), after_update=follow)
    start = copy.deepcopy(slow)
    step(**inputs(1)[0])
    for before, after, target in zip(start.parameters(), slow.parameters(), model.parameters(), strict=True):
        assert torch.allclose(after, (before + target) / 2)


def test_all_inputs_travel_in_one_buffer_and_arrive_whole() -> None:
    """The GPU's buffers, filled on the CPU: two turns, so that writing one leaves the other as it was."""
    first = {"index": torch.arange(5), "flip": torch.tensor([True, False, True]), "sigma": torch.rand(2, 3)}
    second = {name: torch.flip(value, [0]) for name, value in first.items()}
    buffers = _Buffers(first, torch.device("cpu"))
    for sent in (first, second, first):
        buffers.load(sent)
        for name, value in sent.items():
            assert buffers.static[name].dtype == value.dtype and torch.equal(buffers.static[name], value)
    assert all(torch.equal(buffers._writable[1][name], second[name]) for name in second)


def image_step(device: str, *, capture: bool = True) -> tuple[nn.Module, TrainingStep, list[dict[str, Tensor]]]:
    """ResNet-18 under HCL on 64 noise images of 32 pixels."""
    images = torch.randint(256, (64, 3, 32, 32), generator=generator(0, "data"), dtype=torch.uint8)
    encoder = resnet18(rng=generator(0, "weights")).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    on_device, half = images.to(device), (0.5, 0.5, 0.5)

    def loss_of(index: Tensor, **draws: Tensor) -> Tensor:
        views = normalised_views(on_device[index], natural_recipe(), draws, mean=half, std=half)
        z_a, z_b = (encoder(view.contiguous(memory_format=torch.channels_last)) for view in views)
        return hcl(z_a, z_b, temperature=0.5, tau_plus=0.1, beta=1.0)

    rng = generator(0, "augmentation")
    drawn = [
        {"index": index, **draw_views(2, (16, 3, 32, 32), natural_recipe(), rng)}
        for index in batches(64, 16, generator(0, "order"))
    ]
    return encoder, TrainingStep(loss_of, optimizer, modules=[encoder], device=device, capture=capture), drawn


def test_a_whole_step_goes_forward_and_backward_on_the_meta_device() -> None:
    encoder, step, drawn = image_step("meta")
    step(**drawn[0])
    assert all(part.grad is not None and part.grad.is_meta for part in encoder.parameters())


def test_the_meta_device_finds_a_question_to_the_gpu() -> None:
    model = network().to("meta")
    step = TrainingStep(
        lambda x, y: model(x).sum() * (x > 0).nonzero().sum(), torch.optim.Adam(model.parameters()), device="meta"
    )
    with pytest.raises(NotImplementedError, match="nonzero"):
        step(**inputs(1)[0])


def test_the_meta_device_finds_a_tensor_left_on_the_cpu() -> None:
    model, left = network().to("meta"), torch.ones(10, 3)
    step = TrainingStep(lambda x, y: (model(x) * left).sum(), torch.optim.Adam(model.parameters()), device="meta")
    with pytest.raises(RuntimeError, match="device"):
        step(**inputs(1)[0])


# ------------------------------------------------------------------------------------------------------ with a GPU


@pytest.mark.gpu
def test_captured_equals_eager_bit_for_bit(gpu: str) -> None:
    kept = []
    for capture in (False, True, True):
        encoder, step, drawn = image_step(gpu, capture=capture)
        for batch in drawn * 8:
            step(**batch)
        kept.append((weights_of(encoder), step.mean_loss()))
    for weights, loss in kept[1:]:
        assert all(map(torch.equal, kept[0][0], weights)) and loss == kept[0][1]


@pytest.mark.gpu
def test_a_captured_step_follows_a_schedule_of_the_learning_rate(gpu: str) -> None:
    kept = []
    for capture in (False, True):
        model = network().to(gpu)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        step = stepped(model, optimizer, gpu, capture=capture)
        for number, batch in enumerate(inputs(6)):
            optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
            step(**batch)
        assert optimizer.param_groups[0]["lr"] == 0.1 / 6
        kept.append(weights_of(model))
    assert all(map(torch.equal, *kept))


@pytest.mark.gpu
@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_a_restored_optimiser_goes_on_as_if_it_had_not_stopped(gpu: str, make) -> None:
    options = {"momentum": 0.9} if make is torch.optim.SGD else {}

    def built() -> tuple[nn.Module, torch.optim.Optimizer, TrainingStep]:
        model = network().to(gpu)
        optimizer = make(model.parameters(), lr=0.01, **options)
        return model, optimizer, stepped(model, optimizer, gpu)

    whole, _, step = built()
    for batch in inputs(8):
        step(**batch)
    half, optimizer, step = built()
    for batch in inputs(8)[:4]:
        step(**batch)
    saved = copy.deepcopy((half.state_dict(), optimizer.state_dict()))
    resumed, optimizer, step = built()
    step(**inputs(1)[0])  # a graph of other tensors than those that the checkpoint brings
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    for batch in inputs(8)[4:]:
        step(**batch)
    assert all(map(torch.equal, weights_of(whole), weights_of(resumed)))


@pytest.mark.gpu
def test_each_shape_and_each_constant_has_a_graph_of_its_own(gpu: str) -> None:
    kept = []
    for capture in (False, True):
        model = network().to(gpu)
        step = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1), gpu, capture=capture)
        for number, batch in enumerate(inputs(9)):
            rows = 10 - number % 3
            step(x=batch["x"][:rows], y=batch["y"][:rows], scale=1.0 + number % 2)
        assert len(step._captured) == (6 if capture else 0)
        kept.append(weights_of(model))
    assert all(map(torch.equal, *kept))


@pytest.mark.gpu
def test_a_loss_that_is_not_finite_is_named_from_a_captured_step(gpu: str) -> None:
    model = network().to(gpu)
    step = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1), gpu)
    for number, batch in enumerate(inputs(5)):
        step(x=batch["x"] * (float("inf") if number == 3 else 1), y=batch["y"])
    with pytest.raises(FloatingPointError, match="step 4 of 5"):
        step.mean_loss()
