"""Times NCL with generated hard negatives three ways, in turns.

    python -m benchmarks.novel_class_discovery.speed --threads 2 --output results/novel_class_discovery/speed.csv

"loop" goes from anchor to anchor as the authors' code does; "vectors" mixes all hard negatives and multiplies them
with the anchors; "cosines" never makes a mix. All three draw the same partners and give the same loss and gradient,
which is checked first. With one thread it is processor time that is measured, else the clock on the wall.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.timing import Line, measure, seconds_in_turns

# Anchors, entries of each queue, width, far entries, rounds, hard negatives kept, neighbours: what the code has.
SIZES = {
    "CIFAR-10": (64, 2000, 512, 50, 5, 400, 200),
    "CIFAR-100": (45, 2000, 512, 400, 5, 400, 50),
}
WAYS = ("loop", "vectors", "cosines", "no hard negatives")


def lines(device: str, settings: tuple[str, ...] = tuple(SIZES), turns: int = 25) -> Iterator[Line]:
    """Milliseconds of draws, loss and gradient for each way, and each as a multiple of "cosines"."""
    for setting in settings:
        ways = {way: _contender(way, setting, device) for way in WAYS}
        first, *others = (ways[way]() for way in ("cosines", "loop", "vectors"))
        for ours, theirs in ((ours, theirs) for other in others for ours, theirs in zip(first, other, strict=True)):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        alone = device == "cpu" and torch.get_num_threads() == 1
        seconds = seconds_in_turns(ways, turns, device, processor_time=alone)
        for way, each in seconds.items():
            shared = {"setting": setting, "way": way}
            yield {**shared, "milliseconds": round(1e3 * each, 1), "times_cosines": round(each / seconds["cosines"], 2)}


def _contender(way: str, setting: str, device: str) -> Callable[[], tuple[Tensor, Tensor]]:
    """Returns loss and gradient."""
    anchors, entries, width, safe, rounds, keep, neighbours = SIZES[setting]
    rng = generator(0, "speed")
    query, key = torch.randn(2, anchors, width, generator=rng).to(device)
    queues = torch.randn(2, entries, width, generator=rng).to(device)
    query.requires_grad_()

    def loss() -> Tensor:
        draws = generator(1, "speed")
        ncl = partial(losses.ncl, query, key, queues[0], neighbours=neighbours, variant="as_code")
        mixes = {"safe": safe, "rounds": rounds, "rng": draws}
        if way == "no hard negatives":
            return ncl()
        if way == "vectors":
            return ncl(hard_negatives=losses.hard_negative_generation(query, *queues, keep=keep, **mixes))
        partners = losses.draw_partners(anchors, entries, **mixes).to(device)
        if way == "cosines":
            return ncl(hard_cosines=losses.hard_negative_cosines(query, *queues, partners, keep=keep))
        return one_by_one(query, key, *queues, partners, keep, neighbours)

    def call() -> tuple[Tensor, Tensor]:
        value = loss()
        return value.detach(), torch.autograd.grad(value, query)[0]

    return call


def one_by_one(
    query: Tensor, key: Tensor, unlabelled: Tensor, labelled: Tensor, partners: Tensor, keep: int, neighbours: int
) -> Tensor:
    """NCL as the authors' code has it, one anchor after the other."""
    q, k, u, other = (normalize(z, dim=1) for z in (query, key, unlabelled, labelled))
    total = torch.zeros((), device=query.device)
    for i in range(len(q)):
        far = u[(u @ q[i].detach()).argsort()[: partners.shape[2]]]
        mixes = [mix for drawn in partners[i] for mix in (far + 2 * other[drawn], 2 * far + other[drawn])]
        candidates = normalize(torch.cat(mixes), dim=1)
        hard = candidates[(candidates @ q[i].detach()).argsort(descending=True)[:keep]]
        known = torch.cat([(q[i] @ k[i])[None], u @ q[i]]) / 0.05
        target = torch.zeros_like(known)
        target[known.argsort(descending=True)[:neighbours]] = 0.8 / neighbours
        target[0] = 0.2
        log_shares = torch.cat([known, hard @ q[i] / 0.05]).log_softmax(dim=0)
        total = total - (target * log_shares[: len(known)]).sum()
    return total / len(q)


if __name__ == "__main__":
    measure(lines, ("setting", "way"), __doc__)
