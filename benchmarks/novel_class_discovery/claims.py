"""What NCL, AutoNovel and UNO claim of novel class discovery, and what this suite found beside it; judged from rows."""

from contrastbench.verdicts.claims import Curve, Equal, Greater, named_after

TRAIN, AGNOSTIC, KNOWN = "train_novel_accuracy_percent", "test_agnostic_accuracy_percent", "test_known_accuracy_percent"
MAIN, COMPONENTS = (
    ("main/paper", "main/lite", "main/quick"),
    ("components/paper", "components/lite", "components/quick"),
)
WHOLE = "BCE + NCL + SCL"

# fmt: off
CLAIMS = named_after("3ccc134", [
    Greater("ncl_adds", "Learning from neighbours adds to the pairwise baseline.", "NCL, ablation of components",
            COMPONENTS, TRAIN, matters=2.0, method="BCE + NCL", over="BCE"),
    Greater("ncl_over_autonovel", "NCL beats AutoNovel's rank statistics.", "NCL, main table", MAIN, TRAIN,
            printed=3.0, method="NCL", over="RS"),
    Greater("scl_adds", "The supervised part (SCL) adds to it.", "NCL, ablation of components", COMPONENTS, TRAIN,
            matters=1.0, method=WHOLE, over="BCE + NCL"),
    Greater("hard_negatives_add", "Generated hard negatives add to it.", "NCL, ablation of components", COMPONENTS,
            TRAIN, matters=1.0, method="NCL", over=WHOLE),
    Curve("k_interior", "The published k, |M| / C / 2, is best: fewer and more neighbours are worse.",
          "NCL, ablation of k", ("k/quick",), TRAIN, matters=2.0, x="k", line=WHOLE, best=(50.0,)),
    Curve("k_photographs", "The published k is best on photographs too.", "NCL, ablation of k",
          ("photographs_k/quick",), TRAIN, datasets=("CIFAR-10 5/5, 10,000 images",), matters=2.0, x="k", line=WHOLE,
          best=(200.0,)),
    Curve("weight_interior", "The other view should weigh 0.2 beside the neighbours.", "NCL, settings",
          ("alpha/quick",), TRAIN, matters=2.0, x="positive_weight", line=WHOLE, best=(0.2,)),
    Curve("weight_falls", "The more the other view weighs, the worse: neighbours carry the method.", "this suite",
          ("alpha/quick",), TRAIN, matters=2.0, x="positive_weight", line=WHOLE, shape="falls", ours=True),
    Curve("temperature_interior", "A temperature of 0.05 is best.", "NCL, settings", ("temperature/quick",), TRAIN,
          matters=2.0, x="temperature", line=WHOLE, best=(0.05,)),
    Greater("uno_over_ncl", "UNO beats NCL.", "UNO, README", MAIN, TRAIN, matters=1.0, method="UNO", over="NCL"),
    Greater("uno_agnostic", "Where nobody says which images are novel, UNO beats NCL.", "UNO, task-agnostic table",
            MAIN, AGNOSTIC, matters=5.0, method="UNO", over="NCL"),
    Greater("stage_1", "Self-supervised training first (stage 1) helps.", "AutoNovel", ("stages/quick",), TRAIN,
            matters=2.0, method=WHOLE, over=f"{WHOLE} without stage 1"),
    Equal("known_kept", "What is known is not forgotten: NCL's accuracy on known classes is its baseline's.", "NCL",
          MAIN, KNOWN, matters=1.0, method="NCL", over="BCE"),
    Greater("ncl_over_pixels", "NCL beats k-means on the pixels.", "this suite", ("photographs/quick",), TRAIN,
            matters=2.0, method="NCL", over="k-means, pixels", ours=True),
    Greater("threshold", "The baseline needs the published threshold: at 0.8 it falls apart.", "this suite",
            ("threshold/quick",), TRAIN, matters=5.0, method="BCE, threshold=0.95", over="BCE, threshold=0.8",
            ours=True),
    Equal("paper_or_code", "Following the paper or its code makes no difference.", "this suite", ("variants/quick",),
          TRAIN, matters=3.0, method="NCL (clean)", over="NCL (as_code, clean)", ours=True),
]) + named_after("9d282c3", [
    Greater("ncl_over_published_baseline",
            "At the published threshold, where no baseline collapses, the whole method beats it.",
            "NCL, ablation of components", ("threshold/paper", "threshold/quick"), TRAIN, matters=2.0, method="NCL",
            over="BCE, threshold=0.95"),
    Greater("known_classes_teach",
            "Known classes teach: k-means finds novel ones better in stage 2's features than in an untrained net's.",
            "this suite", MAIN, TRAIN, matters=2.0, method="k-means, stage 2", over="k-means, untrained", ours=True),
    Greater("too_many_neighbours", "Six times as many neighbours as published cost much.", "this suite", ("k/quick",),
            TRAIN, matters=5.0, method=f"{WHOLE}, k=50", over=f"{WHOLE}, k=300", ours=True),
    Greater("uno_known", "UNO tells known classes apart better than NCL.", "this suite", MAIN, KNOWN, matters=0.3,
            method="UNO", over="NCL", ours=True),
    Greater("ncl_features", "On photographs NCL makes better features than its baseline: k-means finds more in them.",
            "this suite", ("photographs_30/quick",), "train_novel_kmeans_accuracy_percent", matters=1.0, method="NCL",
            over="BCE", ours=True),
    Greater("neighbours_of_one_class", "Where neighbours are of one class (TREC on MiniLM), learning from them helps.",
            "this suite", ("questions/quick",), TRAIN, matters=2.0, method="BCE + NCL", over="BCE", ours=True),
])
