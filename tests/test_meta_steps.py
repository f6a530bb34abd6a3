"""One training step of every stage of every paper on the device "meta": finds the errors of a GPU without one.

Tensors there have shapes and no values, so whatever would ask a GPU for a value or mix it with the CPU fails: an input
left on the CPU, ``nonzero``, ``item``, a boolean mask as an index. What "meta" lets pass is looked for beside it: a
tensor that is made on the CPU and copied.
"""

import pytest
import torch
from stage_steps import label, makers, runs_at_smoke_scale
from torch import Tensor
from torch.overrides import TorchFunctionMode

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


@pytest.mark.parametrize("run", runs_at_smoke_scale(), ids=label)
def test_a_step_asks_the_device_for_nothing(run) -> None:
    for make in makers(run):
        made = make(run.config, "meta")
        if made is None:
            continue
        step, inputs = made
        loss_of = step.loss_of

        def on_the_device_only(loss_of=loss_of, **given):
            with OnTheDeviceOnly():
                return loss_of(**given)

        step.loss_of = on_the_device_only
        step(**next(iter(inputs)))
        trained = [part for group in step.optimizer.param_groups for part in group["params"]]
        assert trained and all(part.is_meta for part in trained)
        assert any(part.grad is not None and part.grad.is_meta for part in trained)


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
