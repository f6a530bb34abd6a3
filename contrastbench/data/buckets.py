"""Batches of sentences of mixed length: cut by length into pieces, so that little padding is computed.

A contrastive batch must stay whole, since its members are each other's negatives. So the batch is drawn first; only its
way through the encoder is cut: the shortest sentences go together, and so on, each piece padded to its own longest.

A GPU prepares a step for every combination of widths that it meets. So that there are few, widths are rounded up to one
of ``WIDTHS``: four pieces then have at most 126 combinations, however many lengths the sentences have. Where nothing is
prepared, as on a CPU, rounding only adds padding; "every" leaves it out.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from contrastbench.data.text import pad

WIDTHS = (8, 16, 24, 32, 64, 128)  # words


def in_pieces(
    rows: Sequence[np.ndarray], pieces: int, longest: int, padding: int = 0, widths: str = "few"
) -> dict[str, Tensor]:
    """The inputs of a training step: padded pieces from short to long, and how to put their embeddings in order again.

    Args:
        rows: word numbers of each sentence.
        pieces: how many; 1 pads the batch to its longest. Pieces of one batch differ by at most one sentence.
        longest: no row is longer, and no piece is padded beyond it.
        widths: "few" rounds each piece's width up, "every" does not.

    Returns:
        ``tokens0`` [N / pieces, T], ``lengths0``, ``tokens1``, ...; and ``order`` [N], where each row now stands.
    """
    if not 1 <= pieces <= len(rows):
        raise ValueError(f"pieces must be between 1 and the batch size {len(rows)}, got {pieces}")
    lengths = np.array([len(row) for row in rows])
    sorted_rows = np.argsort(lengths, kind="stable")
    order = np.empty_like(sorted_rows)
    order[sorted_rows] = np.arange(len(rows))
    inputs = {"order": torch.from_numpy(order)}
    for place, part in enumerate(np.array_split(sorted_rows, pieces)):
        width = int(lengths[part].max())
        width = round_up(width, longest) if widths == "few" else width
        inputs[f"tokens{place}"] = torch.from_numpy(pad([rows[row] for row in part], width, padding))
        inputs[f"lengths{place}"] = torch.from_numpy(lengths[part])
    return inputs


def round_up(words: int, longest: int) -> int:
    """The width of a piece whose longest sentence has so many words: the next of ``WIDTHS``, or ``longest``."""
    return next((width for width in WIDTHS if words <= width < longest), longest)


def through_pieces(encode: Callable[[Tensor, Tensor], Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """The embeddings [N, D] of a batch from ``in_pieces``, in the batch's order."""
    pieces = range(sum(name.startswith("tokens") for name in inputs))
    parts = [encode(inputs[f"tokens{place}"], inputs[f"lengths{place}"]) for place in pieces]
    return torch.cat(parts).index_select(0, inputs["order"])
