"""One training step of every stage of every paper on the device "meta": finds the errors of a GPU without one.

Tensors there have shapes and no values, so whatever would ask a GPU for a value or mix it with the CPU fails: an input
left on the CPU, ``nonzero``, ``item``, a boolean mask as an index. What "meta" lets pass is looked for beside it: a
tensor that is made on the CPU and copied.
"""

import contextlib
import warnings

import pytest
import torch
from stage_steps import Given, do, label, runs_on_devices
from torch import Tensor
from torch.overrides import TorchFunctionMode

from contrastbench.training import TrainingStep

MADE_ON_THE_CPU = {torch.tensor, torch.as_tensor, torch.from_numpy}
ASKED = {Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__bool__, Tensor.__float__, Tensor.__int__}


class OnTheDeviceOnly(TorchFunctionMode):
    """Refuses what copies between CPU and device: each is a wait, and none can be captured in a CUDA graph."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in MADE_ON_THE_CPU | ASKED:
            raise AssertionError(f"inside a step the device would have to wait for {function.__name__}")
        if function is Tensor.to and args[0].device.type == "cpu":
            raise AssertionError("inside a step a CPU tensor is copied to the device; make it an input of the step")
        return function(*args, **(kwargs or {}))


class WithoutValues(TorchFunctionMode):
    """Outside of steps: what is asked of the device is random, and a single number 0."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is Tensor.cpu and args[0].is_meta:
            rng = torch.Generator().manual_seed(0)
            return torch.rand(args[0].shape, generator=rng).to(args[0].dtype)
        if function in (Tensor.__float__, Tensor.item) and args[0].is_meta:
            return 0.0
        return function(*args, **(kwargs or {}))


class Trained:
    """Takes the first of each kind of step that a run takes, and leaves out the others."""

    def __init__(self) -> None:
        self.steps: list[TrainingStep] = []
        self.take = TrainingStep.__call__

    def __call__(self, step: TrainingStep, **inputs) -> None:
        if step in self.steps:
            return
        self.steps.append(step)
        loss_of = step.loss_of

        def on_the_device_only(**given):
            with OnTheDeviceOnly():
                return loss_of(**given)

        step.loss_of = on_the_device_only
        self.take(step, **inputs)


@pytest.mark.parametrize("run", [run for run in runs_on_devices() if getattr(run.config, "epochs", 0)], ids=label)
def test_a_step_asks_the_device_for_nothing(run, monkeypatch) -> None:
    trained, given = Trained(), Given(run)
    monkeypatch.setattr(TrainingStep, "__call__", lambda *args, **inputs: trained(*args, **inputs))
    monkeypatch.setattr(TrainingStep, "mean_loss", lambda step, epoch=None: 0.0)
    with warnings.catch_warnings(), WithoutValues():
        warnings.simplefilter("ignore")  # of weights that are not copied
        with contextlib.suppress(NotImplementedError, RuntimeError):  # an evaluation needs values
            do(run, "meta", given)
    assert trained.steps
    for step in trained.steps:
        parts = [part for group in step.optimizer.param_groups for part in group["params"]]
        assert parts and all(part.is_meta for part in parts)
        assert any(part.grad is not None and part.grad.is_meta for part in parts)


@pytest.mark.parametrize(
    "bad",
    [
        lambda x: x.sum() * torch.tensor(2.0),
        lambda x: x.sum() if x.sum() > 0 else x.mean(),
        lambda x: x[x > 0].sum(),
        lambda x: x.sum() * float(x.max()),
        lambda x: (x * torch.ones(3)).sum(),
    ],
)
def test_what_a_gpu_would_wait_for_is_found(bad) -> None:
    with OnTheDeviceOnly(), pytest.raises((AssertionError, NotImplementedError, RuntimeError)):
        bad(torch.ones(3, device="meta"))
