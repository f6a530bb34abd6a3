"""Contrastbench reruns the published tables of contrastive learning and says, cell by cell, whether they hold."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastbench.reading import results

__all__ = ["results"]

_suite = Path(__file__).with_name("suite")
if _suite.is_dir() and str(_suite) not in sys.path:  # a wheel has `benchmarks` and `baselines` in here
    sys.path.insert(0, str(_suite))


def __getattr__(name: str) -> Any:
    """Imports ``results`` when it is asked for: a loss or the command line need not wait for it."""
    if name != "results":
        raise AttributeError(f"module 'contrastbench' has no attribute {name!r}")
    from contrastbench.reading import results

    return results
