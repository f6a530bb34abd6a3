"""Shared by all tests: the toy paper is on the path, here and in every process that a test starts."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOY = str(Path(__file__).parent / "toy")
sys.path.insert(0, TOY)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [TOY, os.environ.get("PYTHONPATH")]))
os.environ["CONTRASTBENCH_CHECKPOINT_SECONDS"] = "0"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: one thread a process, as workers have
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as for a job in the background; the tests of Ctrl-C inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("CONTRASTBENCH_DATA", None)
os.environ.pop("CONTRASTBENCH_RUNS", None)


@pytest.fixture(scope="session")
def synthetic() -> Any:
    """Makes invented rows and cells."""
    from synthetic import Synthetic

    return Synthetic()


@pytest.fixture
def invoke(tmp_path: Path) -> Any:
    """Runs a command on folders of its own."""
    from command_line import contrastbench

    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    return lambda *arguments: contrastbench(*arguments, **folders)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Bit for bit is promised on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def gpu() -> str:
    """The first GPU, under the settings of a run; the test is skipped where there is none."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU; torch sees none on this machine")
    from contrastbench.runner.devices import Host
    from contrastbench.runner.execute import settle

    settle(Host("cuda:0"))
    return "cuda:0"
