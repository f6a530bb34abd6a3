"""The toy paper's settings: what is computed, how long it takes and how it goes wrong."""

from dataclasses import dataclass

from contrastbench.runner import added


@dataclass(frozen=True)
class Config:
    """One toy run: a random walk of ``size`` numbers that remembers every epoch it went through."""

    epochs: int = 3
    size: int = 8  # numbers in the state
    gain: float = 0.0  # moves the final score, so that methods differ
    seconds_per_epoch: float = 0.0  # slept, not computed: many runs fit on few cores
    gate: str = ""  # a file that the run waits for in its middle epoch, so that a test can disturb it just there
    checkpoint_seconds: float = 0.0  # time between two saves; 0 saves every epoch
    fail_at: int = -1  # the epoch in which the run goes wrong; -1 is never
    failure: str = "error"  # "error", "nan", "memory" or "hoard"
    folds: int = added(0)  # above 0 the run does all its epochs in each fold, and its log counts folds
    fail_unless: str = ""  # a file; where it exists, fail_at is ignored: what a retry needs to succeed
    returns: str = added("")  # what the run returns beside its score: a way of returning that no row can hold
