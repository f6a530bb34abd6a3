"""The two figures that sum up the suite: what hardness (beta) does on every kind of data, and what k does.

Each panel is one table at one scale: PAPER/TABLE, the metric and, where the paper names it, the setting it found best.
Several data sets are pooled: the mean over them of the mean gain in pairs by seed.
"""

FIGURES = {
    "beta": [
        {
            "title": "Images: digits",
            "table": "hard_negatives/beta",
            "scale": "quick",
            "metric": "test_linear_top1_percent",
            "marks": (0.5, 1.0),
        },
        {
            "title": "Images: photographs",
            "table": "hard_negatives/photographs_beta",
            "scale": "lite",
            "metric": "test_linear_top1_percent",
            "marks": (0.5, 1.0),
        },
        {
            "title": "Graphs: the paper's loss and its code's",
            "table": "graph_contrastive/beta",
            "scale": "paper",
            "metric": "test_svm_accuracy_percent",
        },
        {
            "title": "Graphs: both signs",
            "table": "graph_contrastive/sign",
            "scale": "paper",
            "metric": "test_svm_accuracy_percent",
        },
        {
            "title": "Sentences: Quick-Thoughts",
            "table": "sentence_embeddings/beta",
            "scale": "lite",
            "metric": "test_transfer_average_percent",
        },
        {
            "title": "Sentences: SimCSE",
            "table": "sentence_embeddings/beta",
            "scale": "lite",
            "metric": "test_sts_average_x100",
        },
    ],
    "k": [
        {
            "title": "Novel classes: digits (NCL's k nearest)",
            "table": "novel_class_discovery/photographs_k",
            "dataset": "MNIST-5k 5/5",
            "scale": "quick",
            "metric": "test_novel_accuracy_percent",
            "marks": (50,),
        },
        {
            "title": "Novel classes: photographs (NCL's k nearest)",
            "table": "novel_class_discovery/photographs_k",
            "dataset": "CIFAR-10 5/5, 10,000 images",
            "scale": "quick",
            "metric": "test_novel_accuracy_percent",
            "marks": (200,),
        },
        {
            "title": "Language models (NCE's k noise samples)",
            "table": "loss_studies/nce_gradient",
            "scale": "paper",
            "metric": "angle_degrees",
        },
    ],
}
