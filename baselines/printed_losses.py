"""The printed formulas in straightforward PyTorch, as one writes them down from the papers: the yardstick for speed.

Nothing else uses these. They take what the losses take, and agree with them in value (a test says so).
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def _exponentials(z_a: Tensor, z_b: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """pos [2B] and neg [2B, 2B - 2] of the printed formulas, the negatives by a boolean mask."""
    a, b = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    out = torch.cat([a, b])
    rows = len(out)
    keep = ~torch.eye(rows, dtype=torch.bool, device=out.device)
    keep[torch.arange(rows), torch.arange(rows).roll(rows // 2)] = False
    negatives = torch.exp(out @ out.T / temperature).masked_select(keep).view(rows, -1)
    positive = torch.exp((a * b).sum(dim=1) / temperature)
    return torch.cat([positive, positive]), negatives


def nt_xent(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    positive, negatives = _exponentials(z_a, z_b, temperature)
    return -torch.log(positive / (positive + negatives.sum(dim=1))).mean()


def hcl(z_a: Tensor, z_b: Tensor, *, temperature: float, tau_plus: float, beta: float) -> Tensor:
    positive, negatives = _exponentials(z_a, z_b, temperature)
    count = negatives.shape[1]
    importance = (beta * negatives.log()).exp()
    reweighted = (importance * negatives).sum(dim=1) / importance.mean(dim=1)
    total = (-tau_plus * count * positive + reweighted) / (1 - tau_plus)
    total = torch.clamp(total, min=count * math.exp(-1 / temperature))
    return -torch.log(positive / (positive + total)).mean()


def dcl(z_a: Tensor, z_b: Tensor, *, temperature: float, tau_plus: float) -> Tensor:
    positive, negatives = _exponentials(z_a, z_b, temperature)
    count = negatives.shape[1]
    total = (-tau_plus * count * positive + negatives.sum(dim=1)) / (1 - tau_plus)
    total = torch.clamp(total, min=count * math.exp(-1 / temperature))
    return -torch.log(positive / (positive + total)).mean()


def dcl_many_positives(
    z_a: Tensor, z_b: Tensor, more_positives: Tensor, *, temperature: float, tau_plus: float
) -> Tensor:
    positive, negatives = _exponentials(z_a, z_b, temperature)
    count = negatives.shape[1]
    more = F.normalize(more_positives, dim=2)
    out = torch.stack([F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)])
    samples = torch.exp((out[:, None] * more[None]).sum(dim=3) / temperature).permute(0, 2, 1).flatten(0, 1)
    mean_positive = torch.cat([positive[:, None], samples], dim=1).mean(dim=1)
    total = (-tau_plus * count * mean_positive + negatives.sum(dim=1)) / (1 - tau_plus)
    total = torch.clamp(total, min=count * math.exp(-1 / temperature))
    return -torch.log(positive / (positive + total)).mean()


def bcl(z_a: Tensor, z_b: Tensor, *, temperature: float, tau_plus: float, alpha: float, beta: float) -> Tensor:
    positive, negatives = _exponentials(z_a, z_b, temperature)
    u = (negatives[:, None, :] <= negatives[:, :, None]).float().mean(dim=2)  # X <= x for all pairs
    tau_minus = 1 - tau_plus
    a = (1 - 2 * alpha) * (tau_minus - tau_plus) + 1e-3
    b = 2 * (alpha * tau_minus + (1 - alpha) * tau_plus)
    phi = (-b + torch.sqrt(b * b + 4 * a * u)) / (2 * a)
    phi_1, phi_2 = 2 * (1 - phi), 2 * phi
    true, false = alpha * phi_1 + (1 - alpha) * phi_2, (1 - alpha) * phi_1 + alpha * phi_2
    hard = alpha * (1 - beta) * phi_1 + (1 - alpha) * beta * phi_2
    omega = hard / (alpha * (1 - beta) + (1 - alpha) * beta + 1e-3) / (tau_minus * true + tau_plus * false)
    return -torch.log(positive / (positive + (omega * negatives).sum(dim=1))).mean()


def sup_con(z: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    u = F.normalize(z, dim=1)
    scores = u @ u.T / temperature
    others = ~torch.eye(len(u), dtype=torch.bool)
    same = (labels[:, None] == labels[None, :]) & others
    log_p = scores - torch.log((scores.exp() * others).sum(dim=1, keepdim=True))
    return -((same * log_p).sum(dim=1) / same.sum(dim=1)).mean()


def info_nce(query: Tensor, key: Tensor, *, temperature: float) -> Tensor:
    scores = F.normalize(query, dim=1) @ F.normalize(key, dim=1).T / temperature
    return -torch.log(scores.exp().diagonal() / scores.exp().sum(dim=1)).mean()


def infonce_queue(query: Tensor, key: Tensor, queue: Tensor, *, temperature: float) -> Tensor:
    q, k, n = F.normalize(query, dim=1), F.normalize(key, dim=1).detach(), F.normalize(queue, dim=1).detach()
    scores = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ n.T], dim=1) / temperature
    return F.cross_entropy(scores, torch.zeros(len(q), dtype=torch.long))


def alignment(z_a: Tensor, z_b: Tensor) -> Tensor:
    return (F.normalize(z_a, dim=1) - F.normalize(z_b, dim=1)).norm(dim=1).pow(2).mean()


def uniformity(z: Tensor, *, t: float = 2.0) -> Tensor:
    return torch.pdist(F.normalize(z, dim=1)).pow(2).mul(-t).exp().mean().log()


def drlim(x_a: Tensor, x_b: Tensor, different: Tensor, *, margin: float) -> Tensor:
    distance, y = (x_a - x_b).norm(dim=1), different.float()
    return ((1 - y) / 2 * distance.pow(2) + y / 2 * (margin - distance).clamp(min=0).pow(2)).mean()


def batch_triplet_every(z: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    u = F.normalize(z, dim=1)
    distance = torch.cdist(u, u).pow(2)
    same = labels[:, None] == labels[None, :]
    triplets = (same & ~torch.eye(len(u), dtype=torch.bool))[:, :, None] & ~same[:, None, :]
    loss = (distance[:, :, None] - distance[:, None, :] + margin).clamp(min=0)
    return loss[triplets].mean()


def simcse_supervised(anchor: Tensor, positive: Tensor, hard_negative: Tensor, *, temperature: float) -> Tensor:
    h, plus, minus = (F.normalize(z, dim=1) for z in (anchor, positive, hard_negative))
    scores = torch.cat([h @ plus.T, h @ minus.T], dim=1) / temperature
    return -torch.log(scores.exp().diagonal() / scores.exp().sum(dim=1)).mean()


def quick_thoughts(f: Tensor, g: Tensor) -> Tensor:
    scores = (f @ g.T) * (1 - torch.eye(len(f)))
    place = torch.arange(len(f))
    targets = ((place[:, None] - place[None, :]).abs() == 1).float()
    targets = targets / targets.sum(dim=1, keepdim=True)
    return -(targets * F.log_softmax(scores, dim=1)).sum(dim=1).mean()
