"""The losses of two views that the catalogue has, by name, and a loss of the user's own from its file."""

import contextlib
import functools
import io
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.loss_arena.config import Config
from benchmarks.loss_arena.tables import RIVALS
from contrastbench import losses
from contrastbench.losses import own
from contrastbench.losses.checking import costs_of
from contrastbench.runner import Checkpoint

Loss = Callable[[Tensor, Tensor], Tensor]


def alignment_uniformity(z_a: Tensor, z_b: Tensor) -> Tensor:
    """Both goals at once, as in Wang and Isola 2020, arXiv:2005.10242, figure 5: alignment and the mean uniformity."""
    return losses.alignment(z_a, z_b) + (losses.uniformity(z_a) + losses.uniformity(z_b)) / 2


def semi_hard_triplet(z_a: Tensor, z_b: Tensor, *, margin: float) -> Tensor:
    """FaceNet's triplets, where each item is a class of its own and its two views are the class's members."""
    labels = torch.arange(len(z_a), device=z_a.device).repeat(2)
    return losses.batch_triplet(torch.cat([z_a, z_b]), labels, margin=margin, miner=losses.mine_semi_hard)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "nt_xent": losses.nt_xent,
    "dcl": losses.dcl,
    "hcl": losses.hcl,
    "bcl": losses.bcl,
    "info_nce": losses.info_nce,
    "hard_simcse": losses.hard_simcse,
    "graphcl": losses.graphcl,
    "alignment_uniformity": alignment_uniformity,
    "semi_hard_triplet": semi_hard_triplet,
}


def milliseconds(**yours: Loss) -> dict[str, float]:
    """How long every rival, and losses of your own, take on this machine: a batch forward and backward, by method."""
    named = {method: functools.partial(LOSSES[r.loss], **own.settings_of(r.settings)) for method, r in RIVALS.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        return {name: cost.milliseconds for name, cost in costs_of({**named, **yours}).items()}


def loss_of(config: Config, checkpoint: Checkpoint) -> Loss | None:
    """The config's loss with its settings; one of the user's own comes from the files beside the run's ticket.

    None where it has none.
    """
    if config.loss == "none":
        return None
    settings = own.settings_of(config.settings)
    if config.loss in LOSSES:
        return functools.partial(LOSSES[config.loss], **settings)
    if not config.sha256 or checkpoint.folder is None:
        raise ValueError(f"unknown loss {config.loss!r}; there are: {', '.join(LOSSES)}; your own: contrastbench try")
    return functools.partial(own.load(checkpoint.folder / own.FOLDER, config.loss, config.sha256), **settings)
