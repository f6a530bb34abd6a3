"""The settings of each stage; every stage has its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pretrain:
    """A random walk, whose end is kept."""

    dataset: str = "noise8"
    epochs: int = 3
    size: int = 8  # numbers in the state
    seconds: float = 0.0  # slept in each epoch


@dataclass(frozen=True)
class Discover:
    """A walk on from the pre-trained state, under one split."""

    dataset: str = "noise8"
    split: str = "a"  # "a", "b" or "c": other random steps
    rounds: int = 2
    gain: float = 0.0  # moves the score, so that methods differ
    seconds: float = 0.0  # slept in each round


@dataclass(frozen=True)
class Mean:
    """The mean over the splits; there is nothing to set."""


RANGES = {"epochs": "[1, inf)", "rounds": "[1, inf)", "seconds": "[0, inf)", "split": ("a", "b", "c")}
