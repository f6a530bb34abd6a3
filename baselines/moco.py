"""MoCo: a queue of past keys as negatives, made by an encoder that follows the trained one slowly.

K: keys in the queue; D: their width; B: items in a batch.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """The key encoder and the queue: what MoCo has beside the encoder that is trained.

        theta_k <- m theta_k + (1 - m) theta_q after every update;   the B oldest keys make room for the newest

    A step asks for ``keys_of``, takes ``queue`` as negatives, and calls ``advance`` after its update. The place to
    write to is a tensor, so that all of it can stand in a captured step.

    Args:
        encoder: what is trained; the key encoder begins as its copy.
        keys: K, at least a batch.
        width: D, of the encoder's embeddings.
        momentum: m in [0, 1]; 0.999 in MoCo for 1.3 million images, 0.99 for CIFAR in its authors' demonstration.
        rng: a CPU generator; the queue begins with random directions.

    Source: He et al. 2020, arXiv:1911.05722, algorithm 1.
    """

    queue: Tensor
    place: Tensor

    def __init__(self, encoder: nn.Module, *, keys: int, width: int, momentum: float, rng: torch.Generator) -> None:
        super().__init__()
        if keys < 1:
            raise ValueError(f"keys must be at least 1, got {keys}")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        self.momentum = momentum
        self.encoder: Any = copy.deepcopy(encoder).requires_grad_(False)
        directions = torch.nn.functional.normalize(torch.randn(keys, width, generator=rng), dim=1)
        device = next(encoder.parameters()).device
        self.register_buffer("queue", directions.to(device))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64, device=device))
        self._newest: Tensor | None = None

    @torch.no_grad()
    def keys_of(self, images: Tensor) -> Tensor:
        """[B, D] keys of a batch, of length 1; ``advance`` puts them into the queue.

        The key encoder normalises by the batch, and its running statistics move, as in training.
        """
        if len(images) > len(self.queue):
            raise ValueError(f"a queue of {len(self.queue)} keys cannot take the {len(images)} of a batch")
        self._newest = torch.nn.functional.normalize(self.encoder(images).float(), dim=1)
        return self._newest

    @torch.no_grad()
    def advance(self, encoder: nn.Module) -> None:
        """After an update of the encoder: the key encoder follows it, and the newest keys replace the oldest."""
        if self._newest is None:
            raise ValueError("advance comes after keys_of; there are no keys to put into the queue")
        for mine, its in zip(self.encoder.parameters(), encoder.parameters(), strict=True):
            mine.lerp_(its, 1 - self.momentum)
        places = torch.arange(len(self._newest), device=self.queue.device)
        self.queue.index_copy_(0, (self.place + places) % len(self.queue), self._newest)
        self.place.add_(len(self._newest)).remainder_(len(self.queue))
