"""What a graph recommender must beat: popularity, neighbours of items, and a linear model in closed form.

Dimensions: U users, I items, b users of a batch. X [U, I] is 1 where a user has an item in training.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from contrastbench.data.pairs import Pairs

Scores = Callable[[Tensor], Tensor]  # users [b] -> scores [b, I]
NEIGHBOURS = 100


def chosen_matrix(data: Pairs) -> csr_matrix:
    """X."""
    ones = np.ones(len(data.train), dtype=np.float32)
    return csr_matrix((ones, data.train.T), shape=(data.users, data.items))


def popularity(data: Pairs) -> Scores:
    """An item's score is how many users have it."""
    counts = torch.from_numpy(np.bincount(data.train[:, 1], minlength=data.items)).float()
    return lambda users: counts.repeat(len(users), 1)


def item_neighbours(data: Pairs, neighbours: int = NEIGHBOURS) -> Scores:
    """ItemKNN: the sum of an item's cosines with the user's items, among which only its nearest 100 items count."""
    x = chosen_matrix(data)
    lengths = np.sqrt(np.bincount(data.train[:, 1], minlength=data.items).clip(1)).astype(np.float32)
    unit = x.multiply(1 / lengths).tocsc()
    similar = (unit.T @ unit).tolil()
    similar.setdiag(0)
    similar = similar.tocsr()
    rows, columns, values = [], [], []
    for start in range(0, data.items, 1024):
        some = torch.from_numpy(similar[start : start + 1024].toarray())
        best = some.topk(min(neighbours, data.items - 1), dim=1)
        rows.append(np.repeat(np.arange(start, start + len(some)), best.values.shape[1]))
        columns.append(best.indices.flatten().numpy())
        values.append(best.values.flatten().numpy())
    shape = (data.items, data.items)
    nearest = csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    to_items = nearest.T.tocsr()  # [from, to]: row i of ``nearest`` lists the neighbours of item i
    return lambda users: torch.from_numpy((x[users.numpy()] @ to_items).toarray())


def ease(data: Pairs, ridge: float) -> Scores:
    """EASE: the linear map B of items to items, with a diagonal of 0, that minimises |X - X B|^2 + ridge |B|^2.

        P = (X'X + ridge I)^-1,   B = I - P / diag(P),   scores = X B

    With fewer users than items the inverse is taken on the users' side, where X P = (XX' + ridge I)^-1 X.

    Source: Steck 2019, arXiv:1905.03375, eq. 8.
    """
    x = chosen_matrix(data)
    if data.users < data.items:
        projected = torch.from_numpy(_inverse(x @ x.T, ridge).numpy() @ x)  # X P
        diagonal = (1 - torch.from_numpy(np.asarray(x.multiply(projected.numpy()).sum(axis=0))).squeeze(0)) / ridge
        return lambda users: torch.from_numpy(x[users.numpy()].toarray()) - projected[users] / diagonal.float()
    inverse = _inverse(x.T @ x, ridge)
    weights = inverse.div_(-inverse.diagonal().clone())
    weights.fill_diagonal_(0)
    return lambda users: torch.from_numpy(x[users.numpy()] @ weights.numpy())


def _inverse(gram: csr_matrix, ridge: float) -> Tensor:
    """The inverse of gram + ridge I, symmetric and positive definite."""
    dense = torch.from_numpy(gram.toarray())
    dense.diagonal().add_(ridge)
    return torch.cholesky_inverse(torch.linalg.cholesky(dense))
