"""kNN and linear probes against loops, closed forms and PyTorch."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from contrastbench.data.images import load_images
from contrastbench.evaluation.linear import (
    linear_classifier,
    linear_top1_percent,
    logistic_top1_percent,
    logistic_weights,
    probe_loss,
)
from contrastbench.evaluation.nearest import knn_top1_percent
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep


def blobs(n: int, seed: int = 0, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = generator(seed, "test")
    labels = torch.arange(n) % 3
    centres = torch.tensor([[4.0, 0, 0, 1], [0, 4.0, 0, 1], [0, 0, 4.0, 1]])
    return centres[labels] + spread * torch.randn(n, 4, generator=rng), labels


def test_knn_is_the_printed_formula() -> None:
    (bank, bank_labels), (queries, labels) = blobs(60, 1, 3.0), blobs(40, 2, 3.0)
    correct = 0
    for query, label in zip(queries, labels, strict=True):
        scores = [float(torch.cosine_similarity(query, item, dim=0)) for item in bank]
        nearest = sorted(range(60), key=lambda j: -scores[j])[:7]
        votes = [sum(math.exp(scores[j] / 0.3) for j in nearest if bank_labels[j] == c) for c in range(3)]
        correct += votes.index(max(votes)) == int(label)
    ours = knn_top1_percent(bank, bank_labels, queries, labels, neighbours=7, temperature=0.3)
    assert ours == pytest.approx(100 * correct / 40) and 40 < ours < 95


def test_knn_with_one_neighbour_finds_the_bank_itself() -> None:
    bank, labels = blobs(30, spread=5.0)
    assert knn_top1_percent(bank, labels, 3 * bank, labels, neighbours=1) == 100  # the norm does not matter
    assert knn_top1_percent(bank, labels, bank, labels, neighbours=10_000, temperature=0.1) > 30


def test_knn_names_a_bad_argument() -> None:
    bank, labels = blobs(6)
    with pytest.raises(ValueError, match="neighbours must be at least 1, got 0"):
        knn_top1_percent(bank, labels, bank, labels, neighbours=0)
    with pytest.raises(ValueError, match="temperature must be positive, got -1"):
        knn_top1_percent(bank, labels, bank, labels, temperature=-1)
    with pytest.raises(ValueError, match="kNN needs a bank and queries, got 6 and 0 features"):
        knn_top1_percent(bank, labels, bank[:0], labels[:0])


def test_logistic_probe_minimises_its_objective() -> None:
    """The same accuracy as a long plain descent on cross-entropy + |W|^2 / 2 over standardised features."""
    (features, labels), (test, test_labels) = blobs(90, 1, 3.0), blobs(300, 2, 3.0)
    mean, deviation = features.double().mean(0), features.double().std(0)
    scaled, weights = (features - mean) / deviation, torch.zeros(3, 4, dtype=torch.double, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=500, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        logits = scaled @ weights.T + bias
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum") + 0.5 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    guessed = (((test - mean) / deviation) @ weights.T + bias).argmax(1)
    expected = 100 * float((guessed == test_labels).double().mean())
    assert logistic_top1_percent(features, labels, test, test_labels) == pytest.approx(expected, abs=0.4)
    assert 50 < expected < 99


def test_logistic_probe_refuses_features_that_are_not_finite() -> None:
    features, labels = blobs(9)
    features[3, 1] = math.nan
    with pytest.raises(FloatingPointError, match="features are not finite"):
        logistic_top1_percent(features, labels, features, labels)


def test_linear_probe_learns_and_is_seeded() -> None:
    features, labels = blobs(300)
    accuracies = []
    for _ in range(2):
        classifier = linear_classifier(4, 3, rng=generator(0, "evaluation"))
        step = TrainingStep(
            lambda layer=classifier: probe_loss(layer, features, labels),
            torch.optim.Adam(classifier.parameters(), lr=0.05),
        )
        step()
        first = step.mean_loss()
        for _ in range(20):
            step()
        assert step.mean_loss() < first
        accuracies.append(linear_top1_percent(classifier, features, labels))
    assert accuracies[0] == accuracies[1] > 95


def test_the_logistic_probe_of_a_gpu_has_scikit_learns_optimum() -> None:
    """Solved on the CPU by both, on overlapping classes; scikit-learn made as exact as it can be."""
    rng = generator(3, "data")
    labels = torch.arange(400) % 4
    features = torch.randn(4, 10, generator=rng, dtype=torch.float64)[labels] * 0.5
    features = features + torch.randn(400, 10, generator=rng, dtype=torch.float64)
    exact = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(features.numpy(), labels.numpy())
    weight, bias = logistic_weights(features, labels, 4, strength=1.0)
    assert torch.allclose(weight, torch.from_numpy(exact.coef_), atol=1e-4)
    assert torch.allclose(bias - bias.mean(), torch.from_numpy(exact.intercept_ - exact.intercept_.mean()), atol=1e-4)


def test_the_two_logistic_probes_agree_on_digits_within_a_fifth_of_a_percent() -> None:
    digits = load_images("mnist5k")
    train, test = (part.images[:, :, ::2, ::2].flatten(1).float() for part in (digits.train, digits.test))
    labels, answers = digits.train.labels, digits.test.labels
    scikit = logistic_top1_percent(train, labels, test, answers)
    mean, deviation = train.double().mean(dim=0), train.double().std(dim=0).clamp(min=1e-6)
    weight, bias = logistic_weights((train.double() - mean) / deviation, labels, 10, strength=1.0)
    chosen = ((test.double() - mean) / deviation @ weight.T + bias).argmax(dim=1)
    assert abs(100 * float((chosen == answers).double().mean()) - scikit) <= 0.2  # 0.1 here: two digits of 2,000
