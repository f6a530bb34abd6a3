"""Every contrastive loss as a pure function: ``from contrastbench.losses import hcl``. README.md has the catalogue."""

from contrastbench.losses.bayesian import bayesian_weights, bcl
from contrastbench.losses.debiased import dcl, dcl_many_positives, hcl
from contrastbench.losses.nt_xent import nt_xent
from contrastbench.losses.parts import hardness_weights

__all__ = ["bayesian_weights", "bcl", "dcl", "dcl_many_positives", "hardness_weights", "hcl", "nt_xent"]
