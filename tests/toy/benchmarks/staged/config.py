"""The settings of each stage; every stage has its own."""

from dataclasses import dataclass

from contrastbench.runner import setting


@dataclass(frozen=True)
class Pretrain:
    """A random walk, whose end is kept."""

    dataset: str = "noise8"
    epochs: int = setting(3, "[1, inf)")
    size: int = 8  # numbers in the state
    seconds: float = setting(0.0, "[0, inf)")  # slept in each epoch


@dataclass(frozen=True)
class Discover:
    """A walk on from the pre-trained state, under one split."""

    dataset: str = "noise8"
    split: str = setting("a", ("a", "b", "c"))  # other random steps
    rounds: int = setting(2, "[1, inf)")
    gain: float = 0.0  # moves the score, so that methods differ
    seconds: float = setting(0.0, "[0, inf)")  # slept in each round


@dataclass(frozen=True)
class Mean:
    """The mean over the splits; there is nothing to set."""
