"""Data sets in memory: loading, checking, and batched augmentation. Importing this package does not import torch."""

from contrastbench.data.catalogue import DATA_SETS, data_root
from contrastbench.data.kinds import DataSet

__all__ = ["DATA_SETS", "DataSet", "data_root"]
