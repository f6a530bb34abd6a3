"""Every contrastive loss as a pure function: ``from contrastbench.losses import hcl``. README.md has the catalogue."""

from contrastbench.losses.alignment_uniformity import alignment, uniformity
from contrastbench.losses.bayesian import bayesian_weights, bcl
from contrastbench.losses.by_name import two_view_loss_named
from contrastbench.losses.contrastive import drlim, margin_pairs, squared_hinge
from contrastbench.losses.debiased import dcl, dcl_many_positives, hcl
from contrastbench.losses.graph import hard_jsd, hard_jsd_as_code, jsd
from contrastbench.losses.mixing import draw_partners, hard_negative_cosines, hard_negative_generation, mochi
from contrastbench.losses.nce import hard_info_nce, info_nce, info_nce_of_scores, infonce_queue, nce
from contrastbench.losses.neighbourhood import ncl, scl
from contrastbench.losses.nt_xent import nt_xent
from contrastbench.losses.parts import hardness_weights
from contrastbench.losses.prototypes import Clustering, concentrations, proto_nce
from contrastbench.losses.sentences import hard_quick_thoughts, hard_simcse, quick_thoughts, simcse_supervised
from contrastbench.losses.sup_con import sup_con
from contrastbench.losses.triplet import batch_triplet, mine_easy, mine_every, mine_hard, mine_semi_hard, triplet

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
