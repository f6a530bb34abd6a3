"""Every loss as a function of two matrices [B, D] and a temperature; losses of other settings leave the last out."""

import torch

from contrastbench import losses
from contrastbench.randomness import generator


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Normal numbers that each precision holds exactly."""
    return torch.randn(*shape, generator=generator(seed, f"test {shape}")).bfloat16().to(dtype)


def like(z: torch.Tensor, rows: int, seed: int = 5) -> torch.Tensor:
    """Other rows of the same width and precision: a queue, or the centres of clusters."""
    return normal(rows, z.shape[1], seed=seed, dtype=z.dtype)


def classes(z: torch.Tensor) -> torch.Tensor:
    return torch.arange(len(z)) // 2 % 2


def together(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cat([a, b])


def clusterings(z: torch.Tensor) -> list[losses.Clustering]:
    return [losses.Clustering(like(z, 2), torch.tensor([0.25, 0.5], dtype=z.dtype), torch.arange(len(z)) % 2)]


def mixed(z: torch.Tensor) -> torch.Tensor:
    partners = losses.draw_partners(len(z), 5, safe=3, rounds=2, rng=generator(0, "partners"))
    return losses.hard_negative_cosines(z, like(z, 7), like(z, 5), partners, keep=7)


def mined(a: torch.Tensor, b: torch.Tensor, miner) -> torch.Tensor:
    return losses.batch_triplet(together(a, b), classes(a).repeat(2), margin=1.0, miner=miner)


MARGINS = {"positive_margin": 0.3, "negative_margin": 4.0}
HARD = {"tau_plus": 0.1, "beta": 2.0}

TWO_VIEWS = {
    "nt_xent": lambda a, b, t: losses.nt_xent(a, b, temperature=t),
    "dcl": lambda a, b, t: losses.dcl(a, b, temperature=t, tau_plus=0.2),
    "dcl, clamped": lambda a, b, t: losses.dcl(a, b, temperature=t, tau_plus=0.8),
    "hcl, beta 0.5": lambda a, b, t: losses.hcl(a, b, temperature=t, tau_plus=0.1, beta=0.5),
    "hcl, beta 1": lambda a, b, t: losses.hcl(a, b, temperature=t, tau_plus=0.1, beta=1),
    "hcl, beta 20": lambda a, b, t: losses.hcl(a, b, temperature=t, tau_plus=0.1, beta=20.0),
    "bcl": lambda a, b, t: losses.bcl(a, b, temperature=t, tau_plus=0.1, alpha=0.9, beta=0.7),
}
WITH_TEMPERATURE = {
    **TWO_VIEWS,
    "bcl, alpha 1": lambda a, b, t: losses.bcl(a, b, temperature=t, tau_plus=0.1, alpha=1.0, beta=0.5),
    "dcl_many_positives": lambda a, b, t: losses.dcl_many_positives(
        a, b, torch.stack([b.flip(0), a]), temperature=t, tau_plus=0.1
    ),
    "info_nce": lambda a, b, t: losses.info_nce(a, b, temperature=t),
    "info_nce, own negatives": lambda a, b, t: losses.info_nce(
        a, b, normal(len(a), 5, a.shape[1], dtype=a.dtype), temperature=t
    ),
    "infonce_queue": lambda a, b, t: losses.infonce_queue(a, b, like(a, 7), temperature=t),
    "proto_nce": lambda a, b, t: losses.proto_nce(a, b, like(a, 7), clusterings=clusterings(a), temperature=t),
    "sup_con": lambda a, b, t: losses.sup_con(together(a, b), classes(a).repeat(2), temperature=t),
    "simcse_supervised": lambda a, b, t: losses.simcse_supervised(a, b, b.flip(0), temperature=t, hard_weight=2.0),
    "hard_simcse": lambda a, b, t: losses.hard_simcse(a, b, b.flip(0), temperature=t, **HARD),
    "ncl": lambda a, b, t: losses.ncl(a, b, like(a, 7), neighbours=2, temperature=t),
    "ncl, hard negatives": lambda a, b, t: losses.ncl(
        a, b, like(a, 7), neighbours=2, temperature=t, hard_negatives=b[:, None].flip(0)
    ),
    "ncl, hard cosines": lambda a, b, t: losses.ncl(
        a, b, like(a, 7), neighbours=2, temperature=t, hard_cosines=mixed(a), counted=classes(a) == 0
    ),
    "scl": lambda a, b, t: losses.scl(a, b, classes(a), like(a, 7), torch.arange(7) % 3, temperature=t),
    "graphcl": lambda a, b, t: losses.graphcl(a, b, temperature=t),
}
WITHOUT_TEMPERATURE = {
    "alignment": lambda a, b, t: losses.alignment(a, b),
    "alignment, power 0.5": lambda a, b, t: losses.alignment(a, b, exponent=0.5),
    "alignment, power 3": lambda a, b, t: losses.alignment(a, b, exponent=3.0),
    "uniformity": lambda a, b, t: losses.uniformity(together(a, b)),
    "drlim": lambda a, b, t: losses.drlim(a, b, classes(a) == 0, margin=4.0),
    "squared_hinge": lambda a, b, t: losses.squared_hinge(a, b, classes(a) == 0, **MARGINS),
    "margin_pairs": lambda a, b, t: losses.margin_pairs(a, b, classes(a) == 0, **MARGINS),
    "triplet": lambda a, b, t: losses.triplet(a, b, b.flip(0), margin=3.0),
    "mine_every": lambda a, b, t: mined(a, b, losses.mine_every),
    "mine_hard": lambda a, b, t: mined(a, b, losses.mine_hard),
    "mine_semi_hard": lambda a, b, t: mined(a, b, losses.mine_semi_hard),
    "mine_easy": lambda a, b, t: mined(a, b, losses.mine_easy),
    "nce": lambda a, b, t: losses.nce(a[:, 0], -b[:, 0].abs(), a[:, 1:], -b[:, 1:].abs()),
    "info_nce_of_scores": lambda a, b, t: losses.info_nce_of_scores(together(a, b).T),
    "hard_info_nce": lambda a, b, t: losses.hard_info_nce(a[:, 0], b, log_floor=-9.0, **HARD),
    "quick_thoughts": lambda a, b, t: losses.quick_thoughts(a, b),
    "quick_thoughts, as paper": lambda a, b, t: losses.quick_thoughts(a, b, itself=False),
    "hard_quick_thoughts": lambda a, b, t: losses.hard_quick_thoughts(a, b, **HARD),
    "jsd": lambda a, b, t: losses.jsd(together(a, b), torch.arange(2 * len(a)) % 3),
    "hard_jsd": lambda a, b, t: losses.hard_jsd(together(a, b), torch.arange(2 * len(a)) % 3, **HARD),
    "hard_jsd_as_code": lambda a, b, t: losses.hard_jsd_as_code(together(a, b), torch.arange(2 * len(a)) % 3, beta=1.0),
}
LOSSES = WITH_TEMPERATURE | WITHOUT_TEMPERATURE
NO_LOSS = {  # what the package offers beside losses
    *("batch_triplet", "bayesian_weights", "Clustering", "concentrations", "draw_partners", "hard_negative_cosines"),
    *("hard_negative_generation", "hardness_weights", "mochi", "mochi_draws", "mochi_of_draws", "two_view_loss_named"),
}
