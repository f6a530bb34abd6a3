"""One random stream per purpose, so that changing a model never moves a data split.

A stream is named by (seed, purpose, epoch). Whoever resumes at an epoch asks for the stream of that epoch and draws
what an undisturbed run would have drawn; no sampler state is saved anywhere.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(seed: int, purpose: str, epoch: int | None = None, *, bits: int = 63) -> int:
    """An integer below ``2**bits``, a function of its arguments alone (same on every machine)."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def generator(seed: int, purpose: str, epoch: int | None = None, *, device: str = "cpu") -> torch.Generator:
    """A fresh torch generator for one purpose ("weights", "split", "order", "augmentation", "evaluation", ...)."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, purpose, epoch))


def random_state(seed: int, purpose: str, epoch: int | None = None) -> int:
    """The same idea for scikit-learn and numpy: a seed below 2**32."""
    return derived_seed(seed, purpose, epoch, bits=32)


@contextmanager
def seeded_dropout(seed: int, epoch: int, device: str) -> Iterator[None]:
    """Dropout draws from the global generators; inside, what they draw follows from the seed and the epoch."""
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derived_seed(seed, "dropout", epoch))
        yield
