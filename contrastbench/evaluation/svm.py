"""Cross-validated support vector machines, as the graph papers evaluate their embeddings.

The papers run ``GridSearchCV(SVC(), C)`` inside a 10-fold cross-validation: 360 fits, each of which computes its own
kernel. Here the squared distances of all items are computed once; every fold, every gamma and every C reads its kernel
from them. Folds, gammas, selection and ties are those of scikit-learn, so the accuracies are the same.

Dimensions: G items, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

CS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)  # the grid of InfoGraph, HCL and GraphCL

Block = Callable[[np.ndarray, np.ndarray], np.ndarray]  # item numbers of rows, of columns -> that part of a kernel
KernelOf = Callable[[np.ndarray], Block]  # training items -> a kernel whose parameters come from those items only


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found, in percent.

    Attributes:
        test_accuracy: mean over the outer folds.
        test_fold_sd: standard deviation (n - 1) over the outer folds; not over seeds.
        inner_accuracy: mean over the outer folds of the chosen C's accuracy in the inner cross-validation.
        cs: the C chosen in each outer fold.
    """

    test_accuracy: float
    test_fold_sd: float
    inner_accuracy: float
    cs: tuple[float, ...]


Fold = tuple[np.ndarray, np.ndarray]  # numbers of the training items, of the test items


def stratified_folds(labels: np.ndarray, folds: int, random_state: int | None = None) -> list[Fold]:
    """Stratified folds, shuffled by ``random_state``; without it in the items' order.

    Raises:
        ValueError: one class only, or a class with fewer items than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError("all items are of one class; a classifier needs at least 2")
    if sizes.min() < folds:
        raise ValueError(f"the smallest class has {sizes.min()} items; {folds} folds need at least {folds}")
    splitter = StratifiedKFold(folds, shuffle=random_state is not None, random_state=random_state)
    return list(splitter.split(np.zeros(len(labels)), labels))


def rbf_kernels(x: np.ndarray) -> KernelOf:
    """RBF kernels over the items of ``x`` [G, D], with scikit-learn's ``gamma="scale"`` of the training items.

    Raises:
        ValueError: a number is not finite.
    """
    x = _finite(x)
    distances = _squared_distances(x)

    def kernel_of(training: np.ndarray) -> Block:
        variance = x[training].var()
        gamma = 1.0 / (x.shape[1] * variance) if variance else 1.0

        def block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            part = distances[np.ix_(rows, columns)]
            part *= -gamma
            return np.exp(part, out=part)

        return block

    return kernel_of


def precomputed_kernel(kernel: np.ndarray) -> KernelOf:
    """One kernel [G, G] for every fold, as graph kernels have.

    Raises:
        ValueError: a number is not finite.
    """
    kernel = np.ascontiguousarray(_finite(kernel))
    return lambda training: lambda rows, columns: kernel[np.ix_(rows, columns)]


def _finite(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("a support vector machine needs finite numbers, got NaN or infinity")
    return x


def _squared_distances(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=0)  # distances stay, and less is lost where the norms are large
    squares = np.einsum("ij,ij->i", x, x)
    distances = squares[:, None] + squares[None, :] - 2.0 * (x @ x.T)
    np.maximum(distances, 0.0, out=distances)
    np.fill_diagonal(distances, 0.0)
    return distances


def cross_validate(
    kernel_of: KernelOf, labels: np.ndarray, folds: Sequence[Fold], *, inner_folds: int = 5, cs: Sequence[float] = CS
) -> CrossValidation:
    """The papers' evaluation: in every fold, C by cross-validation inside the training items, then one test.

    Equal, up to rounding of the kernel, to fitting ``GridSearchCV(SVC(), {"C": cs}, cv=inner_folds)`` in every fold.

    Args:
        kernel_of: from ``rbf_kernels`` or ``precomputed_kernel``.
        labels: [G] classes.
        folds: outer folds, see ``stratified_folds``.
    """
    from sklearn import config_context

    labels = np.asarray(labels)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # hundreds of fits of a few milliseconds
        results = [_one_fold(kernel_of, labels, *fold, inner_folds=inner_folds, cs=cs) for fold in folds]
    accuracies, inner, chosen = (np.array(column) for column in zip(*results, strict=True))
    sd = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else 0.0
    return CrossValidation(float(accuracies.mean()), sd, float(inner.mean()), tuple(map(float, chosen)))


def _one_fold(
    kernel_of: KernelOf,
    labels: np.ndarray,
    training: np.ndarray,
    test: np.ndarray,
    *,
    inner_folds: int,
    cs: Sequence[float],
) -> tuple[float, float, float]:
    """Test accuracy, inner accuracy of the chosen C (both in percent), and that C; of equals, the smallest."""
    scores = np.empty((len(cs), inner_folds))
    for column, (inner, held_out) in enumerate(stratified_folds(labels[training], inner_folds)):
        scores[:, column] = _accuracies(kernel_of, labels, training[inner], training[held_out], cs)
    means = np.average(scores, axis=1)
    best = int(means.argmax())
    (accuracy,) = _accuracies(kernel_of, labels, training, test, [cs[best]])
    return 100 * accuracy, 100 * float(means[best]), cs[best]


def _accuracies(
    kernel_of: KernelOf, labels: np.ndarray, training: np.ndarray, test: np.ndarray, cs: Sequence[float]
) -> list[float]:
    """Accuracy on ``test`` of a machine fitted to ``training``, for every C."""
    from sklearn.svm import SVC

    kernel = kernel_of(training)
    between, across = kernel(training, training), kernel(test, training)
    machines = [SVC(C=c, kernel="precomputed").fit(between, labels[training]) for c in cs]
    return [float(np.mean(machine.predict(across) == labels[test])) for machine in machines]
