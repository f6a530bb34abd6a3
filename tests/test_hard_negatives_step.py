"""A whole step of hard_negatives against the printed formulas, and the script that times steps."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from test_meta_steps import OnTheDeviceOnly

from benchmarks.hard_negatives import same_accuracy, speed, tables, train
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import labelled_inputs, linear_probe
from benchmarks.hard_negatives.prepare import encoder_of, prepare_data
from benchmarks.hard_negatives.speed import without_labels
from contrastbench.data.augmentation import normalised_views
from contrastbench.encoders.resnets import resnet18
from contrastbench.randomness import generator
from contrastbench.runner import Log

SETTINGS = {
    "nt_xent": {},
    "dcl": {"tau_plus": 0.1},
    "hcl": {"tau_plus": 0.1, "beta": 1.0},
    "bcl": {"tau_plus": 0.1, "alpha": 0.9, "beta": 0.9},
}
SHARES = {"nt_xent": 0.3, "dcl": -0.5, "hcl": 1.1, "bcl": 0.7}  # any, but all different


@pytest.mark.slow
def test_a_whole_step_has_the_loss_and_gradient_of_the_printed_formula() -> None:
    """ResNet-18, 16 noise images, float64, through augmentation, encoder and loss; the same views for all.

    The gradient of the printed formulas is that of their sum in uneven shares, in one pass through the encoder.
    """
    images = torch.randint(256, (16, 3, 32, 32), generator=generator(0, "data"), dtype=torch.uint8)
    encoder = resnet18(rng=generator(0, "weights")).double()
    encoder.register_forward_pre_hook(lambda module, given: (given[0].double(),))
    parameters = list(encoder.parameters())
    ours, summed = {}, [torch.zeros_like(part) for part in parameters]
    for loss, settings in SETTINGS.items():
        config = Config(encoder="resnet18", loss=loss, batch=16, view_size=16, learning_rate=0.0, **settings)
        data = without_labels(config, images)
        step = train.contrastive_step(config, encoder, data)
        (inputs,) = train.contrastive_inputs(config, data, seed=0, epoch=0)
        step(**inputs)
        ours[loss] = step.mean_loss()
        for total, part in zip(summed, parameters, strict=True):
            total += SHARES[loss] * part.grad
    views = normalised_views(images[inputs.pop("index")], data.recipe, inputs, mean=data.mean, std=data.std)
    z_a, z_b = (encoder(view) for view in views)
    expected = {loss: printed(z_a, z_b, temperature=0.5, **settings) for loss, settings in SETTINGS.items()}
    values = {loss: float(value.detach()) for loss, value in expected.items()}
    assert ours == pytest.approx(values, rel=1e-6) and len(set(values.values())) == 4  # the step sums in float32
    gradients = torch.autograd.grad(sum(SHARES[loss] * value for loss, value in expected.items()), parameters)
    largest = max(float(part.abs().max()) for part in summed)
    for gradient, part in zip(gradients, summed, strict=True):
        assert torch.allclose(gradient, part, rtol=1e-8, atol=1e-10 * largest)


def printed(
    z_a, z_b, *, temperature: float, tau_plus: float = 0.0, beta: float = 0.0, alpha: float = 0.0
) -> torch.Tensor:
    """The papers' formulas in Python loops; BCL's where there is an alpha."""
    u = torch.nn.functional.normalize(torch.cat([z_a, z_b]), dim=1)
    views, items, terms = len(u), len(z_a), []
    for i in range(views):
        positive = (u[i] @ u[(i + items) % views] / temperature).exp()
        negatives = torch.stack([(u[i] @ u[j] / temperature).exp() for j in range(views) if (j - i) % items])
        if alpha:
            rank = torch.stack([(negatives <= value).double().mean() for value in negatives.detach()])
            total = (bayesian_omega(rank, tau_plus, alpha, beta) * negatives).sum()
        else:
            weights = negatives**beta / (negatives**beta).mean()
            mean = ((weights * negatives).mean() - tau_plus * positive) / (1 - tau_plus)
            total = len(negatives) * mean.clamp(min=math.exp(-1 / temperature))
        terms.append(-(positive / (positive + total)).log())
    return torch.stack(terms).mean()


def bayesian_omega(u: torch.Tensor, tau_plus: float, alpha: float, beta: float, r: float = 1e-3) -> torch.Tensor:
    """BCL's weights (eq. 15 and the authors' image/main.py): Phi is the root of a Phi^2 + b Phi = u."""
    tau_minus = 1 - tau_plus
    a = (1 - 2 * alpha) * (tau_minus - tau_plus) + r
    b = 2 * (alpha * tau_minus + (1 - alpha) * tau_plus)
    phi = (-b + (b * b + 4 * a * u).sqrt()) / (2 * a)
    p_tn = 2 * alpha * (1 - phi) + 2 * (1 - alpha) * phi
    p_fn = 2 * (1 - alpha) * (1 - phi) + 2 * alpha * phi
    p_htn = 2 * (alpha * (1 - beta) * (1 - phi) + (1 - alpha) * beta * phi)
    p_htn = p_htn / (alpha * (1 - beta) + (1 - alpha) * beta + r)
    return p_htn / (tau_minus * p_tn + tau_plus * p_fn)


def test_the_step_of_the_papers_probe_asks_the_device_for_nothing() -> None:
    config = replace(tables.SMOKE, probe="adam", probe_batchnorm="train")
    data = prepare_data(config, 0, "meta", Log())
    _, step = linear_probe(config, encoder_of(config, data, 0, "meta"), data, 0)
    inputs = next(labelled_inputs(data, 64, seed=0, epoch=0, drop_last=False))
    on_the_device = {name: value.to("meta") for name, value in inputs.items()}
    with OnTheDeviceOnly():
        loss = step.loss_of(**on_the_device)
    assert loss.is_meta


def test_a_step_is_timed_as_published_and_in_the_suite_where_the_device_and_precision_allow() -> None:
    def contenders(**more) -> list[str]:
        given = {"encoders": ("small_resnet",), "batch": 8, "images": 16, "steps": 1, "turns": 1, "workers": 0, **more}
        return [line["contender"] for line in speed.lines("cpu", **given) if line["milliseconds"] > 0]

    assert contenders(precisions=("float32",), contenders=("published", "eager", "captured")) == ["published", "eager"]
    assert contenders(precisions=("bf16",), contenders=("published", "eager")) == ["eager"]
    with pytest.raises(ValueError, match="unknown lazy; contenders: published, eager, captured, compiled, reduce"):
        contenders(contenders=("lazy",))


def test_training_by_the_published_pipeline_is_compared_with_ours(tmp_path: Path, monkeypatch) -> None:
    """64 pictures of noise with a class each, the same first weights for both, and views of their own."""
    rng = np.random.default_rng(0)
    (tmp_path / "cifar10").mkdir()
    for split in ("train", "test"):
        pictures = []
        for pixels in rng.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8):
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "png")
            pictures.append({"bytes": encoded.getvalue(), "path": None})
        table = pyarrow.table({"img": pictures, "label": [number % 2 for number in range(64)]})
        pyarrow.parquet.write_table(table, tmp_path / "cifar10" / f"{split}-0.parquet")
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    weights: dict[str, list[float]] = {}
    for name in ("published", "ours"):
        original = getattr(same_accuracy, name)

        def kept(*given, name=name, original=original):
            trained = original(*given)
            weights.setdefault(name, []).append(float(next(trained.parameters()).detach().sum()))
            return trained

        monkeypatch.setattr(same_accuracy, name, kept)
    lines = list(same_accuracy.lines("cpu", seeds=2, epochs=1, images=64))
    assert [(line["pipeline"], line["seed"]) for line in lines] == [
        (name, seed) for seed in range(2) for name in ("published", "ours")
    ]
    assert all(0 <= line["test_knn_top1_percent"] <= 100 for line in lines)
    assert len({*weights["published"], *weights["ours"]}) == 4, "each has its own views, each seed its own weights"
    assert list(same_accuracy.lines("cpu", seeds=1, epochs=1, images=64)) == lines[:2], "its views follow from the seed"
