"""The two figures that sum up the suite: what hardness (beta) does on every kind of data, and what k does.

Each panel is one table at one scale: PAPER/TABLE, the metric and, where the paper names it, the setting it found best.
Several data sets are pooled: the mean over them of the mean gain in pairs by seed.
"""

from typing import Any

LINEAR, SVM = "test_linear_top1_percent", "test_svm_accuracy_percent"
NOVEL = "test_novel_accuracy_percent"
DIGITS, PHOTOGRAPHS = "MNIST-5k 5/5", "CIFAR-10 5/5, 10,000 images"


def panel(title: str, table: str, scale: str, metric: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "table": table, "scale": scale, "metric": metric, **more}


# fmt: off
FIGURES = {
    "beta": [
        panel("Images: digits", "hard_negatives/beta", "quick", LINEAR, marks=(0.5, 1.0)),
        panel("Images: photographs", "hard_negatives/photographs_beta", "lite", LINEAR, marks=(0.5, 1.0)),
        panel("Graphs: the paper's loss and its code's", "graph_contrastive/beta", "paper", SVM),
        panel("Graphs: both signs", "graph_contrastive/sign", "paper", SVM),
        panel("Sentences: Quick-Thoughts", "sentence_embeddings/beta", "lite", "test_transfer_average_percent"),
        panel("Sentences: SimCSE", "sentence_embeddings/beta", "lite", "test_sts_average_x100"),
    ],
    "k": [
        panel("Novel classes: digits (NCL's k nearest)",
              "novel_class_discovery/photographs_k", "quick", NOVEL, dataset=DIGITS, marks=(50,)),
        panel("Novel classes: photographs (NCL's k nearest)",
              "novel_class_discovery/photographs_k", "quick", NOVEL, dataset=PHOTOGRAPHS, marks=(200,)),
        panel("Language models (NCE's k noise samples)", "loss_studies/nce_gradient", "paper", "angle_degrees"),
    ],
}
# fmt: on
