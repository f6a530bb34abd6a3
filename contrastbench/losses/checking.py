"""Checks a loss of two views in seconds: what holds, what fails, and the smallest input that shows it.

import contrastbench
checks = contrastbench.check_loss(my_loss, temperature=0.2)
assert not (checks["outcome"] == "fails").any(), checks.to_string()
"""

from __future__ import annotations

import contextlib
import inspect
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from contrastbench.losses.debiased import nt_xent
from contrastbench.losses.own import check_settings, described

if TYPE_CHECKING:
    import pandas

SHAPES = ((2, 4), (8, 16), (64, 32))  # items and dimensions, the smallest first
BATCHES = (2, 3, 16, 256, 1024, 4096)
LONGEST_SECONDS, MOST_BYTES = 5.0, 4e9  # of one call; a larger batch that would take more is not tried
HUGE, TINY = 1e15, 1e-15  # norms whose squares float32 still holds
TIMED, REPEATS = (256, 128), 7
OK, FAILS, REFUSED, NOT_TRIED = "ok", "fails", "refuses", "not tried"
YES, NO = "yes", "no"  # of what a loss may do either way
NEEDED = ("one number", "gradient")  # without these nothing can be trained, and no further check is tried

Loss = Callable[[Tensor, Tensor], Tensor]


class Finding(NamedTuple):
    """One check: its name, what came of it, and a sentence where there is something to say."""

    check: str
    outcome: str
    finding: str = ""


class WrongLossError(Exception):
    """What is wrong with a loss, in words."""


def check_loss(loss: Callable[..., Tensor], *, device: str = "cpu", **settings: Any) -> pandas.DataFrame:
    """Checks ``loss(z_a, z_b, **settings)``; nothing is trained.

    Returns:
        A line for each check: ``check``, ``outcome`` and ``finding``. The outcome is "ok", "fails", "refuses" (a
        ValueError, as for a batch that is too small), "not tried", or "yes" and "no" where both are right.

    Raises:
        ValueError: the loss cannot be called so.
    """
    import pandas

    return pandas.DataFrame(list(findings(loss, device, **settings)))


def findings(loss: Callable[..., Tensor], device: str = "cpu", **settings: Any) -> Iterator[Finding]:
    """The checks one after the other, as they are done."""
    check_settings(loss, settings)
    printed = io.StringIO()
    probe = _Probe(partial(loss, **settings), device, _folder_of(loss))
    usable = True
    for name, check in probe.checks("temperature" in inspect.signature(loss).parameters):
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            found = probe.checked(name, check) if usable else Finding(name, NOT_TRIED)
        usable &= name not in NEEDED or found.outcome == OK
        yield found
    said = printed.getvalue().strip().partition("\n")[0]
    yield Finding("prints nothing", FAILS if said else OK, f"it prints {said[:60]!r} at every step" if said else "")


def is_usable(found: Sequence[Finding]) -> bool:
    """Whether an encoder can be trained by the loss: it gives one number and a gradient."""
    return all(each.outcome == OK for each in found if each.check in NEEDED)


def _folder_of(loss: Callable[..., Tensor]) -> Path | None:
    code = getattr(inspect.unwrap(loss), "__code__", None)
    return Path(code.co_filename).parent if code else None


class _Probe:
    """Calls a loss on made-up views and says what came of it."""

    def __init__(self, loss: Callable[..., Tensor], device: str, folder: Path | None) -> None:
        self.loss, self.device, self.folder = loss, device, folder

    def checked(self, name: str, check: Callable[[], Finding | str | None]) -> Finding:
        """The check's finding; a sentence of it is a failure, and so is whatever it raises."""
        try:
            found = check()
        except WrongLossError as wrong:
            return Finding(name, FAILS, str(wrong))
        except ValueError as error:
            return Finding(name, REFUSED, " ".join(str(error).split()))
        except (Exception, SystemExit) as error:
            return Finding(name, FAILS, f"raises {described(error, self.folder)}")
        if isinstance(found, Finding):
            return found._replace(check=name)
        return Finding(name, FAILS if found else OK, found or "")

    def checks(self, has_temperature: bool) -> list[tuple[str, Callable[[], Finding | str | None]]]:
        """Every check by its name, in the order in which they are done."""
        cold = [("t = 0.01", partial(self.is_finite, temperature=0.01))] if has_temperature else []
        return [
            ("one number", self.is_one_number),
            ("input unchanged", self.leaves_input_alone),
            ("gradient", self.has_gradient),
            ("same result twice", self.is_deterministic),
            ("equal items", partial(self.is_finite, change=lambda z: z[:1].expand_as(z))),
            ("zero vectors", partial(self.is_finite, change=torch.zeros_like)),
            ("one item", partial(self.is_finite, shapes=((1, 4),))),
            ("huge norms", partial(self.is_finite, change=lambda z: z * HUGE)),
            ("tiny norms", partial(self.is_finite, change=lambda z: z * TINY)),
            *cold,
            ("bf16", partial(self.is_finite, change=Tensor.bfloat16)),
            ("batch of 2 to 4,096", self.takes_any_batch),
            ("mean over the batch", self.is_a_mean),
            ("gradient in float64", self.passes_gradcheck),
            ("same for swapped views", partial(self.stays, lambda a, b: (b, a))),
            ("same for other norms", partial(self.stays, lambda a, b: (3 * a, b / 2))),
            ("same in another order", partial(self.stays, lambda a, b: (a.flip(0), b.flip(0)))),
            ("time and memory", self.costs),
        ]

    def views(self, items: int, width: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Two views [B, D], a little alike, so that no loss is at its end; every call draws the same ones."""
        rng = torch.Generator().manual_seed(0)
        z_a = torch.randn(items, width, generator=rng, dtype=dtype)
        z_b = 0.3 * z_a + torch.randn(items, width, generator=rng, dtype=dtype)
        return z_a.to(self.device), z_b.to(self.device)

    def value(self, z_a: Tensor, z_b: Tensor, **changed: Any) -> Tensor:
        """The loss; it must be one number.

        Raises:
            WrongLossError: it is not.
        """
        found = self.loss(z_a, z_b, **changed)
        at = f"at {list(z_a.shape)}"
        if not isinstance(found, Tensor):
            raise WrongLossError(f"returns {type(found).__name__} {at}, not a tensor")
        if found.shape:
            raise WrongLossError(f"returns shape {list(found.shape)} {at}, not one number; take the mean")
        return found

    def with_gradient(self, z_a: Tensor, z_b: Tensor, **changed: Any) -> tuple[Tensor, list[Tensor | None]]:
        """The loss and its gradients. The views are no leaves, as they are none in training."""
        leaves = [z.detach().clone().requires_grad_() for z in (z_a, z_b)]
        value = self.value(*(leaf.clone() for leaf in leaves), **changed)
        if not value.requires_grad:
            raise WrongLossError(
                f"the result is detached from both views at {list(z_a.shape)}: nothing can be learned from it"
            )
        try:
            return value.detach(), list(torch.autograd.grad(value, leaves, allow_unused=True))
        except RuntimeError as error:
            if "inplace operation" not in str(error):
                raise
            at = list(z_a.shape)
            raise WrongLossError(f"it writes over what its own gradient needs at {at}; work on a copy") from None

    def is_one_number(self) -> None:
        for shape in SHAPES[:2]:
            self.value(*self.views(*shape))

    def has_gradient(self) -> str | None:
        z_a, z_b = self.views(*SHAPES[1])
        value, gradients = self.with_gradient(z_a, z_b)
        for name, gradient in zip(("z_a", "z_b"), gradients, strict=True):
            if gradient is None or not gradient.any():
                changed = (z_a.flip(0), z_b) if name == "z_a" else (z_a, z_b.flip(0))
                has_part = self.value(*changed).item() != value.item()
                why = "the value depends on it; is it detached?" if has_part else "it has no part in the value"
                raise WrongLossError(f"no gradient reaches {name} at {list(z_a.shape)}: {why}")
        return None

    def is_deterministic(self) -> str | None:
        for shape in SHAPES:
            first, again = (self.value(*self.views(*shape)).item() for _ in range(2))
            if first != again:
                return f"{first:.6g}, then {again:.6g} for the same views at {list(shape)}"
        return None

    def leaves_input_alone(self) -> str | None:
        for shape in SHAPES:
            given, kept = self.views(*shape), self.views(*shape)
            self.value(*given)
            for name, after, before in zip(("z_a", "z_b"), given, kept, strict=True):
                if not torch.equal(after, before):
                    return f"it writes over {name} at {list(shape)}; work on a copy"
        return None

    def is_finite(
        self, change: Callable[[Tensor], Tensor] = Tensor.clone, shapes: Any = SHAPES, **changed: Any
    ) -> str | None:
        for shape in shapes:
            value, gradients = self.with_gradient(*map(change, self.views(*shape)), **changed)
            if not value.isfinite():
                return f"the loss is {value.item()} at {list(shape)}"
            if not all(each is None or each.isfinite().all() for each in gradients):
                return f"the loss is {value.item():.4g} and its gradient is not finite at {list(shape)}"
        return None

    def takes_any_batch(self) -> Finding | str | None:
        for place, items in enumerate(BATCHES):
            began = time.perf_counter()
            with _counting_saved() as saved:
                value, _ = self.with_gradient(*self.views(items, 32))
            if not value.isfinite():
                return f"the loss is {value.item()} at [{items}, 32]"
            seconds, following = time.perf_counter() - began, BATCHES[place + 1 : place + 2]
            growth = (following[0] / items) ** 2 if following and items >= 256 else 0
            if seconds * growth > LONGEST_SECONDS or saved[0] * growth > MOST_BYTES:
                cost = f"{seconds:.1f} s and {saved[0] / 1e6:.0f} MB at {items} items"
                return Finding("", NOT_TRIED, f"{cost}: {following[0]:,} would cost some {growth:.0f} times as much")
        return None

    def is_a_mean(self) -> str | None:
        """Whether the gradient's size per item falls as 1 / batch: then the sum over the items stays."""
        few, many = (self.gradient_sum(items) for items in (64, 512))
        if not few or 1 / 4 < many / few < 4:
            return None
        how = "is it divided by the batch twice?" if many < few else "is it a sum and not a mean?"
        return f"from [64, 32] to [512, 32] the gradients' sum changes {many / few:.2g} times: {how}"

    def gradient_sum(self, items: int) -> float:
        _, gradients = self.with_gradient(*self.views(items, 32))
        return sum(float(each.norm(dim=1).sum()) for each in gradients if each is not None)

    def passes_gradcheck(self) -> str | None:
        for shape in ((2, 3), (5, 3)):
            views = tuple(z.requires_grad_() for z in self.views(*shape, dtype=torch.float64))
            same = torch.autograd.gradcheck(lambda a, b: self.value(a, b), views, raise_exception=False)
            if not same:
                return f"the gradient is not that of finite differences at {list(shape)}, in float64"
        return None

    def stays(self, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Finding:
        z_a, z_b = self.views(*SHAPES[1], dtype=torch.float64)
        before, after = self.value(z_a, z_b).item(), self.value(*change(z_a, z_b)).item()
        if abs(before - after) <= 1e-6 * max(1.0, abs(before)):
            return Finding("", YES)
        return Finding("", NO, f"{before:.6g}, then {after:.6g} at {list(z_a.shape)}")

    def costs(self) -> Finding:
        theirs = partial(nt_xent, temperature=0.5)
        own, other = costs_of({"own": self.loss, "other": theirs}, self.device).values()
        words = f"{own} and {own.kept_mb:.2f} MB kept for the gradient at {list(TIMED)}"
        return Finding("", OK, f"{words}; NT-Xent {other} and {other.kept_mb:.2f} MB")


class Cost(NamedTuple):
    """What a loss takes at ``TIMED`` items and dimensions, forward and backward."""

    milliseconds: float
    kept_mb: float  # by forward for backward

    def __str__(self) -> str:
        return f"{self.milliseconds:.2f} ms"


def costs_of(named: Mapping[str, Loss], device: str = "cpu") -> dict[str, Cost]:
    """Times losses in turn, so that a busy machine is as slow for all; of each the fastest of ``REPEATS`` counts."""
    found: dict[str, list[Cost]] = {name: [] for name in named}
    for _ in range(REPEATS):
        for name, loss in named.items():
            probe = _Probe(loss, device, None)
            views, began = probe.views(*TIMED), time.perf_counter()
            with _counting_saved() as saved:
                probe.with_gradient(*views)
            if device != "cpu":
                torch.cuda.synchronize()
            found[name].append(Cost(1e3 * (time.perf_counter() - began), saved[0] / 1e6))
    return {name: min(costs) for name, costs in found.items()}


@contextlib.contextmanager
def _counting_saved() -> Iterator[list[int]]:
    """Counts the bytes of the tensors that are kept for backward, each storage once."""
    known: set[int] = set()
    total = [0]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            total[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total
