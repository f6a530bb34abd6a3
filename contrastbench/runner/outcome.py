"""Calls a paper's function and makes an outcome of what it returns or raises: metrics and series, or an error."""

from __future__ import annotations

import errno
import math
import os
import traceback
from collections.abc import Callable
from typing import Any

import threadpoolctl

from contrastbench.runner import files
from contrastbench.runner.checkpoint import Checkpoint
from contrastbench.runner.devices import Host
from contrastbench.runner.log import Log
from contrastbench.runner.stopping import Interrupted
from contrastbench.runner.studies import load_paper
from contrastbench.runner.tickets import config_of

MESSAGE_CHARACTERS = 2000  # of an exception's message in a row; log.txt has all of it


def outcome_of(ticket: dict[str, Any], host: Host, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Calls the paper's function; what it raises becomes a status."""
    try:
        train, config = function_of(ticket), config_of(ticket)
        settle(host)
        with threadpoolctl.threadpool_limits(host.threads):  # NumPy's and scikit-learn's, which torch does not set
            result = train(config, seed=ticket["seed"], device=host.device, checkpoint=checkpoint, log=log)
        return {**_checked(result), "status": "done", "error": None}
    except (Exception, SystemExit) as error:
        if files.is_full_disk(error):  # not the run's fault, and its row could not be written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(checkpoint.folder)) from error
        traceback.print_exc()
        if _has_lost_a_process(error, host):  # no fault of the run's either: it goes on from its checkpoint
            raise Interrupted from error
        return {"metrics": {}, "series": {}, "status": status_of(error), "error": _described(error)}


def _has_lost_a_process(error: BaseException, host: Host) -> bool:
    if host.processes == 1:
        return False
    from contrastbench import distributed

    return distributed.is_lost_process(error)


def _described(error: BaseException) -> dict[str, Any]:
    return {"type": type(error).__name__, "message": shortened(files.message_of(error), MESSAGE_CHARACTERS)}


CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def shortened(text: str, characters: int) -> str:
    """The text as a row keeps it: its middle left out where it is long, and no character that moves a cursor."""
    if len(text) > characters:
        half = characters // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} characters left out ... {text[-half:]}"
    return text.translate(CONTROL_CHARACTERS)


def status_of(error: BaseException) -> str:
    """``diverged``, ``out_of_memory`` or ``failed``."""
    import torch

    if isinstance(error, FloatingPointError):
        return "diverged"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in files.message_of(error):
        return "out_of_memory"
    return "failed"


def function_of(ticket: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    return load_paper(ticket["paper"]).function_of(ticket["stage"])


def settle(host: Host) -> None:
    """Sets this process's threads and deterministic kernels. The global seed is a net for code that we do not own."""
    import torch
    from torch.backends import cuda

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(host.threads)
    if host.device != "cpu":
        torch.cuda.set_device(torch.device(host.device).index or 0)  # which does not take "cuda"
        # Their gradients differ from run to run where a missing deterministic kernel is a warning only; the plain one's
        # do not.
        for set_kernel in (cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp, cuda.enable_cudnn_sdp):
            set_kernel(False)
    # As torch.use_deterministic_algorithms, which also imports the compiler: 1.2 s of CPU in every worker.
    torch.set_deterministic_debug_mode("error" if host.device == "cpu" else "warn")
    # Deterministic mode fills new memory, which is slow. We turn that off: code that read memory before writing to it
    # would give rows that differ, and the repeat tests would fail.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(0)


def _checked(result: Any) -> dict[str, dict[str, Any]]:
    """What a stage returned, as plain numbers: single ones are metrics, lists of them series.

    Raises:
        TypeError: it is not numbers by name; the message says which metric is not.
        FloatingPointError: a number is not finite.
    """
    if not isinstance(result, dict):
        raise TypeError(f"a stage returns its metrics by name, as a dict; this one returned {type(result).__name__}")
    metrics: dict[str, float] = {}
    series: dict[str, list[int | float]] = {}
    for name, value in result.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a text, got {name!r}")
        if isinstance(value, (list, tuple)):
            series[name] = [_number(f"{name}[{index}]", each) for index, each in enumerate(value)]
        else:
            metrics[name] = float(_number(name, value))
    return {"metrics": metrics, "series": series}


def _number(name: str, value: Any) -> int | float:
    """A finite number; a tensor or an array counts as its one element."""
    try:
        number = value if type(value) in (int, float) else float(value)
        is_finite = math.isfinite(number)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"metric {name} must be one number, got {shortened(repr(value), 200)}") from None
    if isinstance(value, str):
        raise TypeError(f"metric {name} must be one number, got {value[:200]!r}")
    if not is_finite:
        raise FloatingPointError(f"metric {name} is {number}")
    return number
