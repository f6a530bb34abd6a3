"""All tests of one sentence encoder: embeds every sentence once and gives every number of the row."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from contrastbench.data.sentence_tests import Labelled, Scored, Task, in_sentences
from contrastbench.data.text import pad
from contrastbench.encoders.text import TextEncoder
from contrastbench.evaluation.transfer import FOLDS, pair_features, transfer_metrics

TRANSFER = ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")
STS = ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB", "SICK-R")
WORDS_AT_ONCE = 4096  # places of one batch, padding included

Embed = Callable[[Sequence[str]], np.ndarray]  # N sentences -> [N, F]


def embedder(encoder: TextEncoder, tokenize: Callable[[Sequence[str]], list[np.ndarray]], device: str) -> Embed:
    """Embeds sentences with a frozen encoder."""
    return lambda texts: text_features(encoder, tokenize(texts), device=device)


@torch.no_grad()
def text_features(encoder: TextEncoder, rows: Sequence[np.ndarray], *, device: str = "cpu") -> np.ndarray:
    """The encoder's features in evaluation mode, float32 [N, F]; sentences of like length go together.

    The encoder's mode is put back.
    """
    lengths = np.array([len(row) for row in rows])
    order = np.argsort(lengths, kind="stable")
    features = np.empty((len(rows), encoder.width), dtype=np.float32)
    was_training = encoder.training
    encoder.eval()
    try:
        for part in _by_words(order, lengths):
            tokens = torch.from_numpy(pad([rows[row] for row in part], padding=encoder.padding)).to(device)
            embedded = encoder.features(tokens, torch.from_numpy(lengths[part]).to(device))
            features[part] = embedded.float().cpu().numpy()
    finally:
        encoder.train(was_training)
    return features


def _by_words(order: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Cuts sentences, sorted by length, into batches of about ``WORDS_AT_ONCE`` words."""
    batch_of = np.cumsum(lengths[order]) // WORDS_AT_ONCE
    return np.split(order, np.flatnonzero(np.diff(batch_of)) + 1)


def sentence_metrics(
    embed: Embed,
    tasks: Sequence[Task],
    seen: Callable[[str, str], None],
    *,
    folds: int = FOLDS,
    device: str = "cpu",
) -> dict[str, float]:
    """Every test's numbers, and the averages over the transfer tests and over the STS tests among them.

    Args:
        tasks: from ``load_tasks``, which a run calls before it trains: a missing test is then noticed at once.
        seen: called with each test's name and checksum, e.g. ``log.data``.
        folds: of the cross-validated tests, outside and inside.
        device: where classifiers are fitted.

    Returns:
        ``test_mr_accuracy_percent``, ``test_sts12_spearman_x100`` (all pairs together), ``test_sts12_wmean_x100``, ...
    """
    metrics: dict[str, float] = {}
    for task in tasks:
        seen(task.name, task.sha256)
        if isinstance(task, Labelled):
            metrics |= _transfer(task, embed, folds, device)
        elif isinstance(task, Scored):
            metrics |= _similarity(task, embed)
        else:
            raise ValueError(f"{task.name} is no test")
    names = {task.name for task in tasks}
    for group, label in ((TRANSFER, "transfer_average_percent"), (STS, "sts_average_x100")):
        members = [_main_metric(name) for name in group if name in names]
        if len(members) > 1:
            metrics[f"test_{label}"] = float(np.mean([metrics[member] for member in members]))
    return metrics


def _main_metric(name: str) -> str:
    kind = "accuracy_percent" if name in TRANSFER else "spearman_x100"
    return f"test_{_spell(name)}_{kind}"


def _spell(name: str) -> str:
    return name.lower().replace("-", "_")


def _transfer(task: Labelled, embed: Embed, folds: int, device: str) -> dict[str, float]:
    features = embed(task.first)
    if task.second:
        features = pair_features(features, embed(task.second))
    found = transfer_metrics(task, features, folds=folds, device=device)
    return {f"test_{_spell(task.name)}_{metric}_percent": value for metric, value in found.items()}


def _similarity(task: Scored, embed: Embed) -> dict[str, float]:
    texts = sorted({*task.first, *task.second})
    place = {text: number for number, text in enumerate(texts)}
    features = _of_documents(texts, embed) if task.name == "Lee" else embed(texts)
    first, second = (features[[place[text] for text in side]] for side in (task.first, task.second))
    similarities = cosine_of_pairs(first, second)
    found = sts_x100(similarities, task.scores, task.part)
    if task.name == "STSB-dev":
        return {"validation_stsb_spearman_x100": found["all"]}
    metrics = {f"test_{_spell(task.name)}_spearman_x100": found["all"]}
    if task.name == "Lee":  # as this set's papers do; most of its pairs are alike unlike, and ranks are mostly ties
        metrics["test_lee_pearson_x100"] = 100 * float(np.corrcoef(similarities, task.scores)[0, 1])
    if task.name.startswith("STS1"):
        metrics[f"test_{_spell(task.name)}_wmean_x100"] = found["wmean"]
    return metrics


def _of_documents(documents: Sequence[str], embed: Embed) -> np.ndarray:
    """The mean of each document's sentences."""
    parts = in_sentences(documents)
    features = embed([sentence for part in parts for sentence in part])
    ends = np.cumsum([len(part) for part in parts])
    return np.stack([each.mean(axis=0) for each in np.split(features, ends[:-1])])


# ---------------------------------------- semantic textual similarity: do cosines rank pairs of sentences as people do?


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
