"""Every contrastive loss as a pure function: ``from contrastbench.losses import hcl``. README.md has the catalogue."""

from contrastbench.losses.all_pairs import alignment, sup_con, uniformity
from contrastbench.losses.bayesian import bayesian_weights, bcl
from contrastbench.losses.by_name import two_view_loss_named
from contrastbench.losses.debiased import dcl, dcl_many_positives, hcl, nt_xent
from contrastbench.losses.distances import (
    batch_triplet,
    drlim,
    margin_pairs,
    mine_easy,
    mine_every,
    mine_hard,
    mine_semi_hard,
    squared_hinge,
    triplet,
)
from contrastbench.losses.graph import graphcl, hard_jsd, hard_jsd_as_code, jsd
from contrastbench.losses.mixing import (
    draw_partners,
    hard_negative_cosines,
    hard_negative_generation,
    mochi,
    mochi_draws,
    mochi_of_draws,
)
from contrastbench.losses.nce import (
    Clustering,
    concentrations,
    hard_info_nce,
    info_nce,
    info_nce_of_scores,
    infonce_queue,
    nce,
    proto_nce,
)
from contrastbench.losses.neighbourhood import ncl, scl
from contrastbench.losses.parts import hardness_weights
from contrastbench.losses.sentences import hard_quick_thoughts, hard_simcse, quick_thoughts, simcse_supervised

__all__ = [
    "alignment",
    "batch_triplet",
    "bayesian_weights",
    "bcl",
    "Clustering",
    "concentrations",
    "dcl",
    "dcl_many_positives",
    "draw_partners",
    "drlim",
    "graphcl",
    "hard_info_nce",
    "hard_jsd",
    "hard_jsd_as_code",
    "hard_negative_cosines",
    "hard_negative_generation",
    "hard_quick_thoughts",
    "hard_simcse",
    "hardness_weights",
    "hcl",
    "info_nce",
    "info_nce_of_scores",
    "infonce_queue",
    "jsd",
    "margin_pairs",
    "mine_easy",
    "mine_every",
    "mine_hard",
    "mine_semi_hard",
    "mochi",
    "mochi_draws",
    "mochi_of_draws",
    "nce",
    "ncl",
    "nt_xent",
    "proto_nce",
    "quick_thoughts",
    "scl",
    "simcse_supervised",
    "squared_hinge",
    "sup_con",
    "triplet",
    "two_view_loss_named",
    "uniformity",
]
