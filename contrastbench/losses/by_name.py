"""The losses of two views by the names that configs call them."""

from torch import Tensor

from contrastbench.losses.bayesian import bcl
from contrastbench.losses.debiased import dcl, hcl, nt_xent

TWO_VIEW_LOSSES = ("nt_xent", "dcl", "hcl", "bcl")


def two_view_loss_named(
    name: str,
    z_a: Tensor,
    z_b: Tensor,
    *,
    temperature: float,
    tau_plus: float = 0.0,
    beta: float = 0.0,
    alpha: float = 0.5,
) -> Tensor:
    """The loss ``name`` of two views' embeddings [B, D]; it takes the settings that it has and leaves the others.

    Raises:
        ValueError: there is no such loss.
    """
    if name == "nt_xent":
        return nt_xent(z_a, z_b, temperature=temperature)
    if name == "dcl":
        return dcl(z_a, z_b, temperature=temperature, tau_plus=tau_plus)
    if name == "hcl":
        return hcl(z_a, z_b, temperature=temperature, tau_plus=tau_plus, beta=beta)
    if name == "bcl":
        return bcl(z_a, z_b, temperature=temperature, tau_plus=tau_plus, beta=beta, alpha=alpha)
    raise ValueError(f"unknown loss {name!r}; there are: {', '.join(TWO_VIEW_LOSSES)}")
