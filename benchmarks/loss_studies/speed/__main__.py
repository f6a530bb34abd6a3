"""Time and peak memory of every loss, forward and backward, beside its straightforward form and other libraries.

    python -m benchmarks.loss_studies.speed --output results/loss_studies/speed.csv

The contenders of one loss take turns, so that a busy machine disturbs all alike; the median of the turns counts. With
one thread it is CPU time that is measured, so that other work on the machine disturbs less. Each contender's memory is
the peak of live tensor bytes beyond its inputs. Whoever would need more than the limit of bytes is not run:
``out_of_memory``. pytorch-metric-learning and lightly are compared where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.loss_studies.speed import straightforward as plain
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import measured_on

WIDTH, QUEUE, TEMPERATURE = 128, 4096, 0.5
COLUMNS = ("loss", "batch", "contender", "milliseconds", "peak_mb", "times_as_slow_as_ours", "status")
Contender = Callable[..., Tensor]
# Some forms grow with the cube of the batch; these make that many elements of this many bytes each.
CUBIC_BYTES = {"bcl/straightforward": 5, "batch_triplet/straightforward": 13, "nt_xent/pytorch-metric-learning": 4}


def contenders(batch: int) -> dict[str, tuple[tuple[Tensor, ...], dict[str, Contender]]]:
    """For each loss its inputs and who computes it; the inputs that require a gradient are float tensors."""
    rng = generator(0, "speed", batch)
    a, b, c = (torch.randn(batch, WIDTH, generator=rng).requires_grad_() for _ in range(3))
    queue, more = torch.randn(QUEUE, WIDTH, generator=rng), torch.randn(3, batch, WIDTH, generator=rng)
    both, labels = torch.cat([a, b]).detach().requires_grad_(), torch.arange(2 * batch) % (batch // 4)
    different = torch.arange(batch) % 2 == 0
    t, debiased = {"temperature": TEMPERATURE}, {"temperature": TEMPERATURE, "tau_plus": 0.1}
    bayes = {**debiased, "alpha": 0.9, "beta": 0.9}
    table: dict[str, tuple[tuple[Tensor, ...], dict[str, Contender]]] = {
        "nt_xent": ((a, b), _two(losses.nt_xent, plain.nt_xent, t) | _others_nt_xent()),
        "dcl": ((a, b), _two(losses.dcl, plain.dcl, debiased)),
        "dcl_many_positives": ((a, b, more), _two(losses.dcl_many_positives, plain.dcl_many_positives, debiased)),
        "bcl": (
            (a, b),
            # HCL in the same turns: what the ranks cost
            _two(losses.bcl, plain.bcl, bayes) | {"hcl, ours": lambda *x: losses.hcl(*x, **debiased, beta=1.0)},
        ),
        "info_nce": ((a, b), _two(losses.info_nce, plain.info_nce, t)),
        "infonce_queue": ((a, b, queue), _two(losses.infonce_queue, plain.infonce_queue, t)),
        "sup_con": ((both, labels), _two(losses.sup_con, plain.sup_con, t) | _others_sup_con()),
        "alignment": ((a, b), _two(losses.alignment, plain.alignment, {})),
        "uniformity": ((a,), _two(losses.uniformity, plain.uniformity, {})),
        "drlim": ((a, b, different), _two(losses.drlim, plain.drlim, {"margin": 1.0})),
        "simcse_supervised": ((a, b, c), _two(losses.simcse_supervised, plain.simcse_supervised, t)),
        "quick_thoughts": ((a, b), _two(losses.quick_thoughts, plain.quick_thoughts, {})),
        "batch_triplet": (
            (both, labels),
            {
                "ours": lambda z, y: losses.batch_triplet(z, y, margin=0.2, miner=losses.mine_every),
                "straightforward": lambda z, y: plain.batch_triplet_every(z, y, margin=0.2),
            }
            | _others_triplet(),
        ),
    }
    for beta in (0.5, 1.0, 1.5):
        by_name = _two(losses.hcl, plain.hcl, {**debiased, "beta": beta})
        by_name["nt_xent, ours"] = lambda *x: losses.nt_xent(*x, **t)  # in the same turns: what hardness costs
        table[f"hcl beta={beta:g}"] = ((a, b), by_name)
    return table


def _two(ours: Contender, printed: Contender, settings: dict[str, float]) -> dict[str, Contender]:
    return {"ours": lambda *x: ours(*x, **settings), "straightforward": lambda *x: printed(*x, **settings)}


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _others_nt_xent() -> dict[str, Contender]:
    found: dict[str, Contender] = {}
    if _installed("pytorch_metric_learning"):
        from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss

        found["pytorch-metric-learning"] = SelfSupervisedLoss(NTXentLoss(temperature=TEMPERATURE))
    if _installed("lightly"):
        from lightly.loss import NTXentLoss as LightlyNTXent

        found["lightly"] = LightlyNTXent(temperature=TEMPERATURE)
    return found


def _others_sup_con() -> dict[str, Contender]:
    if not _installed("pytorch_metric_learning"):
        return {}
    from pytorch_metric_learning.losses import SupConLoss

    return {"pytorch-metric-learning": SupConLoss(temperature=TEMPERATURE)}


def _others_triplet() -> dict[str, Contender]:
    if not _installed("pytorch_metric_learning"):
        return {}
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.reducers import MeanReducer

    return {"pytorch-metric-learning": TripletMarginLoss(0.2, distance=LpDistance(power=2), reducer=MeanReducer())}


def measured(name: str, batch: int, turns: int, limit_gb: float) -> list[dict[str, object]]:
    """One row for each contender of a loss at a batch size."""
    inputs, by_name = contenders(batch)[name]
    rows: list[dict[str, object]] = []
    running: dict[str, Contender] = {}
    times: dict[str, list[float]] = {}
    for who, loss in by_name.items():
        if _bytes_needed(name, who, batch) > limit_gb * 2**30:
            rows.append({"loss": name, "batch": batch, "contender": who, "status": "out_of_memory"})
            continue
        running[who], times[who] = loss, []
        for _ in range(1 if batch > 64 else 10):  # warm
            _once(loss, inputs)
    for _ in range(turns):
        for who, loss in running.items():
            if sum(times[who]) < 20:  # seconds: whoever is a hundred times slower needs no forty turns
                times[who].append(_once(loss, inputs))
    ours = statistics.median(times["ours"])
    for who, loss in running.items():
        median = statistics.median(times[who])
        rows.append(
            {
                **{"loss": name, "batch": batch, "contender": who, "milliseconds": f"{1e3 * median:.3f}"},
                **{"peak_mb": f"{_peak_mb(loss, inputs):.2f}", "times_as_slow_as_ours": f"{median / ours:.2f}"},
                "status": "done",
            }
        )
    return rows


def _once(loss: Contender, inputs: Sequence[Tensor]) -> float:
    for tensor in inputs:
        tensor.grad = None
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    loss(*inputs).backward()
    return clock() - start


def _peak_mb(loss: Contender, inputs: Sequence[Tensor]) -> float:
    """Peak of the bytes allocated and not yet freed, from the profiler's record of every allocation."""
    for tensor in inputs:
        tensor.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        loss(*inputs).backward()
    live = peak = 0
    for event in sorted(_memory_events(record), key=lambda event: event[0]):
        live += event[1]
        peak = max(peak, live)
    return peak / 2**20


def _memory_events(record: profile) -> list[tuple[int, int]]:
    """(time, bytes) of each allocation and release."""
    found = []
    waiting = list(record.profiler.kineto_results.experimental_event_tree())
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.name == "[memory]":
            found.append((event.start_time_ns, event.extra_fields.alloc_size))
    return found


def _bytes_needed(name: str, who: str, batch: int) -> int:
    if name == "batch_triplet" and who == "pytorch-metric-learning":
        return 3 * 8 * (2 * batch) ** 2 * 7  # three index vectors over all triplets, 7 positives each
    rows = 2 * batch
    return CUBIC_BYTES.get(f"{name}/{who}", 0) * rows**3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="CSV file; without it the table goes to the terminal")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024], help="items in a batch")
    parser.add_argument("--losses", nargs="+", help="only these")
    parser.add_argument("--turns", type=int, default=40, help="measurements of each contender")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit-gb", type=float, default=4.0, help="a contender that needs more is not run")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    names = list(contenders(8))
    for name in chosen.losses or []:
        if name not in names:
            parser.error(f"unknown loss {name!r}; there are: {', '.join(names)}")
    capability = torch.backends.cpu.get_cpu_capability()
    facts = {"capability": capability, "threads": chosen.threads, **measured_on("cpu")}
    rows: list[dict[str, object]] = []
    for batch in chosen.batches:
        for name in chosen.losses or names:
            for row in measured(name, batch, chosen.turns, chosen.limit_gb):
                rows.append({**row, **facts})
                print(*(str(row.get(column, "")).ljust(24 if column == "contender" else 20) for column in COLUMNS))
    if chosen.output:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=[*COLUMNS, *facts]).to_csv(chosen.output, index=False)


if __name__ == "__main__":
    main()
