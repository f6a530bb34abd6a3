"""Time and peak memory of every loss, forward and backward, beside its straightforward form and other libraries.

    python -m benchmarks.loss_studies.speed --output results/loss_studies/speed.csv

With one thread it is processor time that is measured, so that other work on the machine disturbs less. Memory is the
peak of live tensor bytes beyond the inputs. A contender that would need more than the limit of bytes is not run:
``out_of_memory``. pytorch-metric-learning and lightly are compared where they are installed.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from baselines import printed_losses as plain
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.timing import Line, measure, peak_mb, seconds_in_turns

WIDTH, QUEUE, TEMPERATURE = 128, 4096, 0.5
Contender = Callable[..., Tensor]
OURS, PLAIN, METRIC_LEARNING, LIGHTLY = "ours", "straightforward", "pytorch-metric-learning", "lightly"
# Forms that grow with the cube of the batch make that many elements of this many bytes each.
CUBIC_BYTES = {("bcl", PLAIN): 5, ("batch_triplet", PLAIN): 13, ("nt_xent", METRIC_LEARNING): 4}


def lines(
    device: str,
    batches: tuple[int, ...] = (64, 256, 1024),
    losses: tuple[str, ...] = ("every",),
    turns: int = 40,
    limit_gb: float = 4.0,
) -> Iterator[Line]:
    """A line for each contender of each loss at each number of items."""
    if device != "cpu":
        raise ValueError(f"peaks of memory are measured on a CPU alone, got {device}; give --device cpu")
    unknown = {*losses} - {*contenders(8), "every"}
    if unknown:
        raise ValueError(f"unknown loss {', '.join(unknown)}; there are: every, {', '.join(contenders(8))}")
    facts = {"status": "done", "capability": torch.backends.cpu.get_cpu_capability()}
    for batch in batches:
        for loss, (inputs, by_name) in contenders(batch).items():
            if loss in losses or "every" in losses:
                calls = {name: functools.partial(forward_and_backward, each, inputs) for name, each in by_name.items()}
                large = [name for name in calls if bytes_needed(loss, name, batch) > limit_gb * 2**30]
                for name in large:
                    yield {"loss": loss, "batch": batch, "contender": name, **facts, "status": "out_of_memory"}
                    del calls[name]
                seconds = seconds_in_turns(calls, turns, processor_time=torch.get_num_threads() == 1, enough_s=20)
                for name, call in calls.items():
                    yield {
                        **{"loss": loss, "batch": batch, "contender": name},
                        **{"milliseconds": round(1e3 * seconds[name], 3), "peak_mb": round(peak_mb(call), 2)},
                        **{"times_as_slow_as_ours": round(seconds[name] / seconds[OURS], 2), **facts},
                    }


def forward_and_backward(loss: Contender, inputs: tuple[Tensor, ...]) -> None:
    for tensor in inputs:
        tensor.grad = None
    loss(*inputs).backward()


def bytes_needed(loss: str, contender: str, batch: int) -> int:
    """An estimate for the contenders that need by far the most."""
    rows = 2 * batch
    if (loss, contender) == ("batch_triplet", METRIC_LEARNING):
        return 3 * 8 * rows**2 * 7  # three index vectors over all triplets, 7 positives each
    return CUBIC_BYTES.get((loss, contender), 0) * rows**3


def contenders(batch: int) -> dict[str, tuple[tuple[Tensor, ...], dict[str, Contender]]]:
    """For each loss its inputs and who computes it; the inputs that require a gradient are float tensors."""
    rng = generator(0, "speed", batch)
    a, b, c = (torch.randn(batch, WIDTH, generator=rng).requires_grad_() for _ in range(3))
    queue, more = torch.randn(QUEUE, WIDTH, generator=rng), torch.randn(3, batch, WIDTH, generator=rng)
    both, labels = torch.cat([a, b]).detach().requires_grad_(), torch.arange(2 * batch) % (batch // 4)
    different = torch.arange(batch) % 2 == 0
    t, debiased = {"temperature": TEMPERATURE}, {"temperature": TEMPERATURE, "tau_plus": 0.1}
    of_two_views = {
        "nt_xent": t,
        "dcl": debiased,
        "bcl": {**debiased, "alpha": 0.9, "beta": 0.9},
        **{f"hcl beta={beta:g}": {**debiased, "beta": beta} for beta in (0.5, 1.0, 1.5)},
    }
    settings: dict[str, tuple[tuple[Tensor, ...], Mapping[str, float]]] = {
        **{name: ((a, b), given) for name, given in of_two_views.items()},
        "dcl_many_positives": ((a, b, more), debiased),
        "info_nce": ((a, b), t),
        "infonce_queue": ((a, b, queue), t),
        "sup_con": ((both, labels), t),
        "alignment": ((a, b), {}),
        "uniformity": ((a,), {}),
        "drlim": ((a, b, different), {"margin": 1.0}),
        "simcse_supervised": ((a, b, c), t),
        "quick_thoughts": ((a, b), {}),
    }
    table: dict[str, tuple[tuple[Tensor, ...], dict[str, Contender]]] = {}
    for name, (inputs, given) in settings.items():
        function, printed = (getattr(module, name.partition(" ")[0]) for module in (losses, plain))
        ways = {OURS: functools.partial(function, **given), PLAIN: functools.partial(printed, **given)}
        table[name] = inputs, ways | of_other_libraries(name)
        if name.startswith("hcl"):  # in the same turns: what hardness costs
            table[name][1]["nt_xent, ours"] = functools.partial(losses.nt_xent, **t)
        elif name == "bcl":  # what the ranks cost
            table[name][1]["hcl, ours"] = functools.partial(losses.hcl, **debiased, beta=1.0)
    ways = {
        OURS: functools.partial(losses.batch_triplet, margin=0.2, miner=losses.mine_every),
        PLAIN: functools.partial(plain.batch_triplet_every, margin=0.2),
    }
    table["batch_triplet"] = (both, labels), ways | of_other_libraries("batch_triplet")
    return table


def of_other_libraries(loss: str) -> dict[str, Contender]:
    """The same loss in the libraries that are installed."""
    found: dict[str, Contender] = {}
    if loss == "nt_xent" and importlib.util.find_spec("lightly"):
        from lightly.loss import NTXentLoss as OfLightly

        found[LIGHTLY] = OfLightly(temperature=TEMPERATURE)
    if loss in ("nt_xent", "sup_con", "batch_triplet") and importlib.util.find_spec("pytorch_metric_learning"):
        from pytorch_metric_learning import distances, reducers
        from pytorch_metric_learning import losses as theirs

        found[METRIC_LEARNING] = {
            "nt_xent": theirs.SelfSupervisedLoss(theirs.NTXentLoss(temperature=TEMPERATURE)),
            "sup_con": theirs.SupConLoss(temperature=TEMPERATURE),
            "batch_triplet": theirs.TripletMarginLoss(
                0.2, distance=distances.LpDistance(power=2), reducer=reducers.MeanReducer()
            ),
        }[loss]
    return found


if __name__ == "__main__":
    measure(lines, ("loss", "batch", "contender"), __doc__)
