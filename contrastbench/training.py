"""The batches of an epoch, and one optimiser step: eager on a CPU, one captured CUDA graph on a GPU.

A paper writes its step as a function of tensors that returns the loss. On a GPU a step of 256 small images is some
3,400 kernels, more than a CPU core can launch in the time that they take; a CUDA graph launches them all at once. So
nothing inside the function may ask the GPU for a value (``item``, ``nonzero``, a boolean mask as an index, ``if`` on a
tensor) or make a tensor on the CPU. Every random number is drawn outside, on a CPU generator, and comes in as input.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP_STEPS = 3  # before a capture, as PyTorch's notes on CUDA graphs ask for
GRAPHS = 256  # kept at most; with more kinds of inputs than that in use, the others' steps are eager
ALIGNMENT = 64  # bytes; where each input begins in the buffer
RATES = "learning rates"  # the input that a step adds to its own: one for each parameter group


def batches(count: int, size: int, rng: torch.Generator, drop_last: bool = True) -> list[Tensor]:
    """The numbers below ``count`` in random order, ``size`` at a time, on the CPU; a smaller last batch is dropped."""
    parts = torch.randperm(count, generator=rng).split(size)
    return [part for part in parts if len(part) == size or not drop_last]


def set_cosine_rate(optimizer: torch.optim.Optimizer, learning_rate: float, epoch: int, epochs: int) -> None:
    """Sets the epoch's learning rate: from ``learning_rate`` down a half cosine, 0 after the last epoch."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2


def products_in(precision: str, beside: Tensor) -> AbstractContextManager[object]:
    """The context in which a network's products are in "float32" or "bf16", on the device of the tensor ``beside``."""
    if precision == "float32" or beside.is_meta:  # autocast knows no "meta"
        return nullcontext()
    return torch.autocast(beside.device.type, torch.bfloat16, cache_enabled=False)  # a cache would disturb a capture


class TrainingStep:
    """One optimiser step: gradients of the loss, and an update of the weights.

        step = TrainingStep(loss_of, optimizer, modules=[encoder], device=device)
        for index in batches(count, size, generator(seed, "order", epoch)):
            step(index=index, **draw(...))
        loss = step.mean_loss(epoch)

    On a GPU the step is captured the first time that it is called with inputs of these shapes, and replayed from then
    on. Captured and eager steps leave the same weights, bit for bit. A checkpoint is to be restored before the first
    step or between steps.

    Args:
        loss_of: takes the inputs, on the device, as keywords; returns the scalar loss.
        optimizer: Adam, AdamW or SGD without dampening. Learning rates may change from step to step.
        modules: what is trained. Whatever a step changes, such as running statistics or a queue, must be a parameter
            or a buffer of one of them.
        device: "cpu", "cuda:0" or, to find device errors without a GPU, "meta".
        capture: False runs eagerly on a GPU too: for inputs of a new shape at every step.
        after_update: called without gradients at the end of every step, e.g. to move a momentum encoder.
    """

    def __init__(
        self,
        loss_of: Callable[..., Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        modules: Iterable[nn.Module] = (),
        device: str = "cpu",
        capture: bool = True,
        after_update: Callable[[], None] | None = None,
    ) -> None:
        self.loss_of = loss_of
        self.optimizer = optimizer
        self.modules = list(modules)
        self.device = torch.device(device)
        self.capture = capture  # may be set until the first step
        self.after_update = after_update
        self._total, self._last, self._finite_steps = (torch.zeros((), device=self.device) for _ in range(3))
        self.last_loss = float("nan")  # of the last step before ``mean_loss`` was asked for
        self._steps = 0
        self._taken = 0  # steps in all
        self._captured: dict[Any, _Captured] = {}  # by the kind of inputs, the last used last
        self._captured_for: Any = None  # the optimiser's state that the graphs write to
        self._pool: Any = None

    def __call__(self, **inputs: Any) -> None:
        """Takes a step.

        Args:
            inputs: CPU tensors, which may change at every step. Anything else is a constant of the step, and each of
                its values gets a graph of its own; in a step that is not captured, what has a method ``to`` is moved.
        """
        self._steps += 1
        self._taken += 1
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                self._step_on_gpu(inputs)
        elif self.device.type == "meta":
            self._settle_optimizer(fused=False, capturable=False)
            self._update({name: _move(value, self.device) for name, value in inputs.items()})
        else:
            self._update(inputs)

    def mean_loss(self, epoch: int | None = None) -> float:
        """The mean loss of the steps since last asked: the one time that the device is waited for.

        Raises:
            FloatingPointError: a loss was NaN or infinite; names the step, and the epoch where it is given.
            ValueError: there was no step.
        """
        if not self._steps:
            raise ValueError("no step was taken since the mean loss was last asked for; is the batch too large?")
        total, last, finite = torch.stack([self._total, self._last, self._finite_steps]).tolist()
        steps, self._steps, self.last_loss = self._steps, 0, last
        self._total.zero_()
        self._finite_steps.zero_()
        if finite < steps:
            where = f"step {int(finite) + 1} of {steps}" + ("" if epoch is None else f" in epoch {epoch}")
            raise FloatingPointError(f"loss became NaN or infinite in {where} (the mean is {total / steps})")
        return float(torch.tensor(total) / steps)

    def _update(self, inputs: dict[str, Any], rates: Tensor | None = None) -> None:
        """The step itself; on a GPU this is what is captured."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(**inputs)
        loss.backward()
        if rates is None:
            self.optimizer.step()
        else:
            with self._learning_rates(rates):
                self.optimizer.step()
        with torch.no_grad():
            if self.after_update:
                self.after_update()
            self._last.copy_(loss)
            self._total += self._last
            self._finite_steps += self._total.isfinite()  # once it is not finite, a sum stays so

    # ------------------------------------------------------------------------------------------------------ on a GPU

    def _step_on_gpu(self, inputs: dict[str, Any]) -> None:
        rates = torch.tensor([group["lr"] for group in self.optimizer.param_groups], dtype=torch.float32)
        if not self.capture:
            self._settle_optimizer(fused=True, capturable=False)
            self._eager_step_on_gpu(inputs, rates)
            return
        if self.optimizer.state is not self._captured_for:  # a checkpoint was restored: the graphs know other tensors
            self._captured.clear()
            self._pool = None  # PyTorch refuses a pool that no graph uses any more
        tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor)} | {RATES: rates}
        constants = {name: value for name, value in inputs.items() if name not in tensors}
        settings = [setting for group in self.optimizer.param_groups for setting in _settings(group)]
        kind = (_shapes(tensors), tuple(constants.items()), tuple(settings))
        if kind not in self._captured and not self._has_room():
            self._eager_step_on_gpu(inputs, rates)
            return
        if kind not in self._captured:
            self._captured[kind] = self._captured_step(tensors, constants)
            self._captured_for = self.optimizer.state
        step = self._captured[kind] = self._captured.pop(kind)  # the last used stands last
        step.used = self._taken
        step.buffers.load(tensors)
        step.graph.replay()

    def _eager_step_on_gpu(self, inputs: dict[str, Any], rates: Tensor) -> None:
        self._update({name: _move(value, self.device) for name, value in inputs.items()}, rates.to(self.device))

    def _has_room(self) -> bool:
        """Whether another graph may be made, if need be for the one unused the longest: a schedule's old constant.

        Where all are in use, as with more batches of graphs than ``GRAPHS``, making room would mean to capture at every
        step.
        """
        if len(self._captured) < GRAPHS:
            return True
        oldest = next(iter(self._captured))
        if self._taken - self._captured[oldest].used < 4 * GRAPHS:
            return False
        del self._captured[oldest]
        return True

    def _captured_step(self, tensors: dict[str, Tensor], constants: dict[str, Any]) -> _Captured:
        """A graph that takes the step for inputs of one kind, and the buffers that it reads them from.

        Raises:
            Exception: what stopped the capture, and not what PyTorch says of a capture that was stopped.
        """
        self._settle_optimizer(fused=True, capturable=True)
        buffers = _Buffers(tensors, self.device)
        buffers.load(tensors)
        static = dict(buffers.static)
        rates = static.pop(RATES)
        self._warm_up(lambda: self._update({**static, **constants}, rates))
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                self._update({**static, **constants}, rates)
        except Exception as error:
            raise _first(error) from None
        return _Captured(buffers, graph, self._taken)

    def _warm_up(self, update: Callable[[], None]) -> None:
        """Steps on a side stream; then weights, buffers, optimiser state, sums and the GPU's random stream are again
        what they were.

        State that the optimiser makes in its first step is set to 0, where Adam, AdamW and SGD begin.
        """
        kept = [(tensor, tensor.detach().clone()) for tensor in self._tensors()]
        random_stream = torch.cuda.get_rng_state()  # of dropout, if a module has it
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            for _ in range(WARM_UP_STEPS):
                update()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.set_rng_state(random_stream)
        known = {id(tensor) for tensor, _ in kept}
        with torch.no_grad():
            for tensor, value in kept:
                tensor.copy_(value)
            for tensor in self._tensors():
                if id(tensor) not in known:
                    tensor.zero_()

    def _tensors(self) -> Iterator[Tensor]:
        """Everything that a step changes, each once."""
        everything = [part for module in self.modules for part in (*module.parameters(), *module.buffers())]
        everything += [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        everything += [value for state in self.optimizer.state.values() for value in state.values()]
        everything += [self._total, self._last, self._finite_steps]
        yield from {id(value): value for value in everything if isinstance(value, Tensor)}.values()

    def _settle_optimizer(self, *, fused: bool, capturable: bool) -> None:
        """The kernels of the update: fused ones that read step and learning rate on the device.

        A checkpoint that another kind of device saved has its counts of steps on the CPU; they are moved.
        """
        if not isinstance(self.optimizer, torch.optim.Adam | torch.optim.AdamW | torch.optim.SGD):
            raise TypeError(f"a step needs Adam, AdamW or SGD, got {type(self.optimizer).__name__}")
        for group in self.optimizer.param_groups:
            if group.get("dampening"):
                raise ValueError(f"a step needs SGD without dampening, got {group['dampening']}")
            group["fused"], group["foreach"] = fused, False
            if "capturable" in group:
                group["capturable"] = capturable
        for parameter, state in self.optimizer.state.items():
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.device)

    @contextmanager
    def _learning_rates(self, rates: Tensor) -> Iterator[None]:
        """Has the optimiser read its learning rates from the device, so that a graph follows their schedule."""
        groups = self.optimizer.param_groups
        numbers = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates.unbind(), strict=True):
            group["lr"] = rate
        try:
            yield
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number


@dataclass
class _Captured:
    """A captured step."""

    buffers: _Buffers
    graph: Any
    used: int  # at which step the last time


class _Buffers:
    """All inputs of a step in one buffer on the GPU, filled by one copy from pinned memory.

    Two pinned buffers take turns, so that the CPU can draw and write the next step's inputs while the GPU works.
    """

    def __init__(self, inputs: dict[str, Tensor], device: torch.device) -> None:
        self._places: list[tuple[str, torch.dtype, torch.Size, int]] = []
        size = 0
        for name, value in inputs.items():
            self._places.append((name, value.dtype, value.shape, size))
            size += -(-value.nbytes // ALIGNMENT) * ALIGNMENT
        self._on_device = torch.empty(size, dtype=torch.uint8, device=device)
        self.static = self._views(self._on_device)
        self._pinned = [torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda") for _ in range(2)]
        self._writable = [self._views(buffer) for buffer in self._pinned]
        self._copied = [torch.cuda.Event() for _ in range(2)] if device.type == "cuda" else []
        self._turn = 0

    def _views(self, buffer: Tensor) -> dict[str, Tensor]:
        """Each input as a part of the buffer."""
        return {
            name: buffer[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for name, dtype, shape, start in self._places
        }

    def load(self, inputs: dict[str, Tensor]) -> None:
        """Copies the inputs to the device without waiting for it."""
        turn, self._turn = self._turn, 1 - self._turn
        if self._copied:
            self._copied[turn].synchronize()  # the copy of two steps ago has left the buffer
        for name, value in inputs.items():
            self._writable[turn][name].copy_(value)
        self._on_device.copy_(self._pinned[turn], non_blocking=True)
        if self._copied:
            self._copied[turn].record()


def _first(error: BaseException) -> BaseException:
    """The error that came first where one followed from another."""
    return error if error.__context__ is None else _first(error.__context__)


def _shapes(tensors: dict[str, Tensor]) -> tuple[Any, ...]:
    """What decides whether a prepared step fits.

    Raises:
        ValueError: an input is not on the CPU, where it can be part of the one copy.
    """
    for name, value in tensors.items():
        if value.device.type != "cpu":
            raise ValueError(f"the inputs of a step must be CPU tensors; {name} is on {value.device}")
    return tuple((name, value.dtype, value.shape) for name, value in tensors.items())


def _settings(group: dict[str, Any]) -> list[tuple[str, Any]]:
    """A parameter group's constants, which a graph holds: a change of one asks for another graph."""
    changing = ("params", "lr", "initial_lr", "fused", "foreach", "capturable")
    return [(name, value) for name, value in group.items() if name not in changing]


def _move(value: Any, device: torch.device) -> Any:
    return value.to(device) if hasattr(value, "to") else value
