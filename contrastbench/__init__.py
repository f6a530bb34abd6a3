"""Contrastbench reruns the published tables of contrastive learning and says, cell by cell, whether they hold."""

from contrastbench.reading import results

__all__ = ["results"]
