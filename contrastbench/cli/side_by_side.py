"""Does what takes seconds for each paper, such as drawing its figures, for several papers at a time."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from contrastbench.cli.app import Places, places
from contrastbench.cli.gathering import Gathered
from contrastbench.runner.devices import cores

Made = TypeVar("Made")


def side_by_side(make: Callable[[Gathered], Made], papers: Sequence[Gathered]) -> list[Made]:
    """Calls ``make``, a function of a module, for each paper and returns what it made, in their order.

    Papers with rows are shared out over processes, one for each core.
    """
    busy = sum(bool(each.rows) for each in papers)
    if busy < 2:
        return [make(each) for each in papers]
    spawn = multiprocessing.get_context("spawn")  # a forked copy of a process with threads may hang
    with ProcessPoolExecutor(min(busy, cores()), spawn, _begin, (places,)) as pool:
        try:
            return list(pool.map(make, papers))
        except BaseException:  # Ctrl-C and SIGTERM too: nobody waits for the rest
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _begin(chosen: Places) -> None:
    """In a process of the pool: the folders are the command's, and Ctrl-C is the command's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    places.runs, places.results = chosen.runs, chosen.results
