"""Contrastbench reruns the published tables of contrastive learning and says, cell by cell, whether they hold."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastbench.losses.checking import check_loss
    from contrastbench.reading import results

__all__ = ["check_loss", "results"]

_WHERE = {"check_loss": "contrastbench.losses.checking", "results": "contrastbench.reading"}

_suite = Path(__file__).with_name("suite")
if _suite.is_dir() and str(_suite) not in sys.path:  # a wheel has `benchmarks` and `baselines` in here
    sys.path.insert(0, str(_suite))


def __getattr__(name: str) -> Any:
    """Imports a function when it is asked for: a loss or the command line need not wait for it."""
    if name not in _WHERE:
        raise AttributeError(f"module 'contrastbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
