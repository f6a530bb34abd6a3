"""Contrastbench reruns the published tables of contrastive learning and says, cell by cell, whether they hold."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastbench.reading import results

__all__ = ["results"]


def __getattr__(name: str) -> Any:
    """Imports ``results`` when it is asked for: a loss or the command line need not wait for it."""
    if name != "results":
        raise AttributeError(f"module 'contrastbench' has no attribute {name!r}")
    from contrastbench.reading import results

    return results
