"""Image encoders: shapes, the stem, the head, and where the weights come from."""

import pytest
import torch
from torch import nn

from contrastbench.encoders.resnets import ENCODERS, resnet18, resnet50, small_resnet
from contrastbench.randomness import generator


@pytest.mark.parametrize(("name", "width"), [("small_resnet", 64), ("resnet18", 512), ("resnet50", 2048)])
def test_encoders_give_features_and_embeddings(name: str, width: int) -> None:
    encoder = ENCODERS[name](channels=3, rng=generator(0, "weights")).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert encoder.features(images).shape == (2, width) and encoder.width == width
        assert encoder(images).shape == (2, 128)


def test_the_stem_keeps_the_resolution() -> None:
    backbone = resnet50(rng=generator(0, "weights")).backbone
    assert backbone.conv1.kernel_size == (3, 3) and backbone.conv1.stride == (1, 1)
    assert isinstance(backbone.maxpool, nn.Identity) and isinstance(backbone.fc, nn.Identity)


def test_the_head_is_the_papers() -> None:
    first, norm, _, last = resnet50(rng=generator(0, "weights")).head
    assert (first.in_features, first.out_features, first.bias) == (2048, 512, None)
    assert norm.num_features == 512 and last.out_features == 128 and last.bias is not None


def test_weights_follow_the_given_stream_and_nothing_else() -> None:
    state = torch.get_rng_state()
    a, b, c = (small_resnet(rng=generator(seed, "weights")).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["head.0.weight"], c["head.0.weight"])


def test_weights_have_pytorchs_distributions() -> None:
    ours = resnet18(rng=generator(0, "weights")).state_dict()
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.resnet18().state_dict()
    for name in ("layer1.0.conv1.weight", "layer4.1.conv2.weight"):
        assert ours[f"backbone.{name}"].std() == pytest.approx(float(theirs[name].std()), rel=0.02)
    bound = 1 / 512**0.5
    head = ours["head.0.weight"]
    assert head.abs().max() <= bound and head.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert all(value.eq(0).all() for name, value in ours.items() if name.endswith("running_mean"))


def test_the_small_network_costs_three_megaflops_a_digit() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    encoder = small_resnet(rng=generator(0, "weights"))
    with FlopCounterMode(display=False) as counter:
        encoder.features(torch.rand(2, 1, 28, 28))
    assert 2e6 < counter.get_total_flops() / 2 < 4e6
