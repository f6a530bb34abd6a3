"""Measures contenders side by side, and writes down with each number where it was measured.

A paper's measurement is a function that yields lines; its parameters are the options of the command line:

    def lines(device: str, turns: int = 9, batches: tuple[int, ...] = (64, 256)) -> Iterator[Line]:
        for batch in batches:
            for name, seconds in seconds_in_turns({"ours": ..., "theirs": ...}, turns, device).items():
                yield {"contender": name, "batch": batch, "milliseconds": round(1000 * seconds, 3)}

    if __name__ == "__main__":
        measure(lines, ("contender", "batch"), __doc__)
"""

import argparse
import inspect
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from contrastbench.runner import measured_on

Line = dict[str, Any]  # column -> value


def seconds_in_turns(
    contenders: Mapping[str, Callable[[], Any]],
    turns: int,
    device: str = "cpu",
    *,
    processor_time: bool = False,
    enough_s: float = float("inf"),
) -> dict[str, float]:
    """Each contender's median time for one call. They take turns, so that a busy machine disturbs all alike.

    A first turn, which compiles and fills caches, does not count. Whoever went first in a turn goes last in the next.

    Args:
        processor_time: of this process alone, which other work on the machine disturbs less; for one thread.
        enough_s: seconds in all after which a contender sits out the turns that are left.
    """
    clock = time.process_time if processor_time else time.perf_counter
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            if sum(times[name]) < enough_s:
                wait()
                began = clock()
                contenders[name]()
                wait()
                times[name] += [clock() - began] if turn else []
    return {name: statistics.median(each) for name, each in times.items()}


def peak_mb(call: Callable[[], Any]) -> float:
    """The most bytes of tensors that are live at once while ``call`` runs on a CPU, beyond those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    changes = []
    waiting = list(record.profiler.kineto_results.experimental_event_tree())  # type: ignore[union-attr]
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.name == "[memory]":
            changes.append((event.start_time_ns, event.extra_fields.alloc_size))
    live = itertools.accumulate(size for _, size in sorted(changes, key=lambda change: change[0]))
    return max(live, default=0) / 2**20


def measure(lines: Callable[..., Iterable[Line]], measurement: Sequence[str], doc: str | None) -> None:
    """The command line of a measurement: prints its lines as they come and, with ``--output``, writes them to a file.

    Args:
        lines: yields them. ``device`` apart, each of its parameters has a default, of the option's type; of a tuple the
            option takes several.
        measurement: columns that tell the lines of one device apart.
        doc: the help text.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--output", type=Path, help="a CSV file; its lines of other devices and settings stay")
    for name, parameter in list(inspect.signature(lines).parameters.items())[1:]:
        many = {"nargs": "+"} if isinstance(parameter.default, tuple) else {}
        kind = type(parameter.default[0] if many else parameter.default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=parameter.default, **many)  # type: ignore[arg-type]
    options = vars(parser.parse_args())
    threads, output = options.pop("threads"), options.pop("output")
    torch.set_num_threads(threads)
    facts = {**measured_on(options["device"]), "threads": threads}
    taken = []
    try:
        for line in lines(**options):
            taken.append({**line, **facts})
            print(*(f"{name} {value}" for name, value in line.items()), sep=", ", flush=True)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if output:
        write(taken, output, [*measurement, "device"])


def write(lines: Sequence[Line], path: Path, measurement: list[str]) -> None:
    """Writes the lines in place of those that the file has of the same measurement, and keeps its others."""
    table = pd.DataFrame(lines)
    if path.exists():
        table = pd.concat([pd.read_csv(path), table]).drop_duplicates(measurement, keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
