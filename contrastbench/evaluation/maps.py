"""Maps: features in two dimensions, for people to look at; nothing is measured on them."""

import torch
from torch import Tensor

PER_CLASS = 20


def principal_map(features: Tensor, labels: Tensor, *, per_class: int = PER_CLASS) -> dict[str, list[float]]:
    """The first two principal components of the features' directions, for the first items of each class.

    Args:
        features: [N, F], any norm; the components are those of the chosen items.
        labels: [N] class numbers.
        per_class: how many of each class are mapped, the first ones.

    Returns:
        Series for a row: ``x``, ``y`` and ``label`` of each item, and ``explained``, the two components' shares of the
        variance.

    Raises:
        ValueError: fewer than three items are left.
    """
    from sklearn.decomposition import PCA

    chosen = torch.cat([(labels == label).nonzero()[:per_class, 0] for label in labels.unique()]).sort().values
    if len(chosen) < 3 or features.shape[1] < 2:
        raise ValueError(f"a map needs 3 items of 2 features, got {len(chosen)} of {features.shape[1]}")
    directions = torch.nn.functional.normalize(features[chosen].double(), dim=1).cpu().numpy()
    found = PCA(n_components=2, svd_solver="full").fit(directions)
    x, y = found.transform(directions).T.round(4).tolist()
    explained = [round(float(share), 4) for share in found.explained_variance_ratio_]
    return {"x": x, "y": y, "label": labels[chosen].tolist(), "explained": explained}
