"""MoCo's queue: keys come in, the oldest go, and the key encoder follows."""

import pytest
import torch
from torch import nn

from baselines.moco import KeyQueue
from contrastbench import losses


def queue_of(encoder: nn.Module, **changes) -> KeyQueue:
    settings = {"keys": 5, "width": 3, "momentum": 0.9, **changes}
    return KeyQueue(encoder, **settings, rng=torch.Generator().manual_seed(0))


def test_the_newest_keys_replace_the_oldest_and_wrap_around():
    encoder = nn.Linear(4, 3)
    queue = queue_of(encoder)
    first = queue.queue.clone()
    pushed = []
    for step in range(4):
        keys = queue.keys_of(torch.randn(2, 4, generator=torch.Generator().manual_seed(step)))
        assert torch.allclose(keys.norm(dim=1), torch.ones(2)) and not keys.requires_grad
        queue.advance(encoder)
        pushed += list(keys)
    assert torch.equal(queue.queue[:3], torch.stack([pushed[5], pushed[6], pushed[7]]))
    assert torch.equal(queue.queue[3:], torch.stack([pushed[3], pushed[4]]))
    assert int(queue.place) == 3 and not torch.equal(first, queue.queue)


def test_the_key_encoder_is_a_moving_mean():
    encoder = nn.Linear(4, 3)
    queue = queue_of(encoder)
    before = queue.encoder.weight.clone()
    assert torch.equal(before, encoder.weight) and not any(p.requires_grad for p in queue.encoder.parameters())
    with torch.no_grad():
        encoder.weight += 1
    queue.keys_of(torch.randn(2, 4))
    queue.advance(encoder)
    assert torch.allclose(queue.encoder.weight, 0.9 * before + 0.1 * encoder.weight)


def test_a_queue_is_saved_with_its_place():
    encoder = nn.Linear(4, 3)
    queue = queue_of(encoder)
    queue.keys_of(torch.randn(2, 4))
    queue.advance(encoder)
    restored = queue_of(encoder)
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.queue, queue.queue) and int(restored.place) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"keys": 0}, "keys must be at least 1, got 0"), ({"momentum": 1.5}, r"momentum must be in \[0, 1\], got 1.5")],
)
def test_what_a_queue_cannot_be_is_said(changes, said):
    with pytest.raises(ValueError, match=said):
        queue_of(nn.Linear(4, 3), **changes)


def test_a_batch_must_fit_into_the_queue():
    queue = queue_of(nn.Linear(4, 3), keys=1)
    with pytest.raises(ValueError, match="a queue of 1 keys cannot take the 2 of a batch"):
        queue.keys_of(torch.randn(2, 4))
    with pytest.raises(ValueError, match="advance comes after keys_of"):
        queue.advance(nn.Linear(4, 3))


def test_mochi_of_draws_is_mochi():
    query, queue = torch.randn(4, 8), torch.randn(20, 8)
    a, b, picks = losses.mochi_draws(4, 6, 5, 3, rng=torch.Generator().manual_seed(1), dtype=query.dtype)
    by_draws = losses.mochi_of_draws(query, queue, a, b, picks, hardest=6)
    at_once = losses.mochi(query, queue, hardest=6, mixed=5, mixed_with_query=3, rng=torch.Generator().manual_seed(1))
    assert torch.equal(by_draws, at_once) and by_draws.shape == (4, 8, 8)


def test_a_queue_that_moves_slowly_leaves_the_gradient_whole():
    """The queue is written to after the update: the step's gradient is that of the queue as the loss saw it."""
    encoder = nn.Linear(4, 3)
    queue = queue_of(encoder)
    images = torch.randn(2, 4)
    keys, seen = queue.keys_of(images), queue.queue.clone()
    losses.infonce_queue(encoder(images), keys, queue.queue, temperature=0.2).backward()
    gradient = encoder.weight.grad.clone()
    queue.advance(encoder)
    encoder.weight.grad = None
    losses.infonce_queue(encoder(images), keys, seen, temperature=0.2).backward()
    assert torch.equal(gradient, encoder.weight.grad)
