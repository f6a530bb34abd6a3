"""Semantic textual similarity: do cosines rank pairs of sentences as people do?"""

from __future__ import annotations

import numpy as np


def cosine_of_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of row i of ``first`` and row i of ``second`` ([N, F], any norm); a row of zeros has cosine 0."""
    first, second = (part.astype(np.float64) for part in (first, second))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.where(norms == 0, 1.0, norms)


def spearman_x100(similarities: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's rank correlation times 100; 0 where all similarities are equal."""
    from scipy.stats import rankdata

    if not np.isfinite(similarities).all():
        raise FloatingPointError("a similarity is not finite; the encoder's features are not finite either")
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (similarities, scores))
    norms = np.sqrt((a @ a) * (b @ b))
    return float(100 * (a @ b) / norms) if norms else 0.0


def sts_x100(similarities: np.ndarray, scores: np.ndarray, part: np.ndarray) -> dict[str, float]:
    """Spearman times 100 over all pairs together (``all``), and as the mean over parts by their size (``wmean``).

    SimCSE's tables print "all"; older papers print "wmean" or a plain mean, which differ by up to two points.
    """
    names, sizes = np.unique(part, return_counts=True)
    each = [spearman_x100(similarities[part == name], scores[part == name]) for name in names]
    return {"all": spearman_x100(similarities, scores), "wmean": float(np.average(each, weights=sizes))}
