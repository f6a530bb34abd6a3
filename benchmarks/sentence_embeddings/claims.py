"""What SimCSE, Quick-Thoughts and their hard negatives claim, and what this suite found beside it; judged from rows."""

from contrastbench.verdicts.claims import Curve, Greater, named_after

STS, TRANSFER, LEE = "test_sts_average_x100", "test_transfer_average_percent", "test_lee_pearson_x100"
UNSUPERVISED, SUPERVISED = "unsupervised SimCSE", "supervised SimCSE"
QT = ("transfer/paper", "transfer/lite")

# fmt: off
CLAIMS = named_after("3ccc134", [
    Greater("simcse_learns", "SimCSE without labels improves the encoder that it starts from.", "SimCSE, Table 5",
            ("sts/paper", "sts/lite"), STS, matters=2.0, method=UNSUPERVISED, over="start"),
    Greater("labels_learn", "SimCSE with labels improves the encoder that it starts from.", "SimCSE, Table 5",
            ("sts/paper", "sts/lite"), STS, matters=2.0, method=SUPERVISED, over="start"),
    Greater("labels_help", "SimCSE with labels beats SimCSE without.", "SimCSE, Table 5", ("sts/paper", "sts/lite"),
            STS, printed=5.32, method=SUPERVISED, over=UNSUPERVISED),
    Greater("hard_without_labels", "Hard negatives (HCL, beta = 1) lift SimCSE without labels.", "this suite",
            ("gain/paper", "gain/lite"), STS, datasets=("SimCSE without labels, STS",), matters=1.0,
            method="HCL beta=1", over="its own loss", ours=True),
    Greater("hard_with_labels", "Hard negatives (HCL, beta = 1) lift SimCSE with labels.", "this suite",
            ("gain/paper", "gain/lite"), STS, datasets=("SimCSE with labels, STS",), matters=0.5, method="HCL beta=1",
            over="its own loss", ours=True),
    Greater("hard_over_start", "With hard negatives SimCSE without labels is better than the encoder it starts from.",
            "this suite", ("sts/lite",), STS, matters=2.0, method=f"{UNSUPERVISED}, HCL beta=1", over="start",
            ours=True),
    Greater("hard_quick_thoughts", "Hard negatives (HCL, beta = 1) help Quick-Thoughts.", "HCL, table on BookCorpus",
            QT, TRANSFER, matters=0.3, method="HCL beta=1", over="QT (biased)"),
    Greater("debiased_quick_thoughts", "Debiased negatives (DCL) help Quick-Thoughts.", "DCL, table on BookCorpus",
            QT, TRANSFER, matters=0.3, method="DCL", over="QT (biased)"),
    Curve("beta_quick_thoughts", "On Quick-Thoughts HCL is best at a middling beta.", "HCL, table on BookCorpus",
          ("beta/lite",), TRANSFER, matters=0.3, x="beta", line="HCL", best=(0.5, 1.0)),
    Curve("beta_simcse", "On SimCSE without labels the harder the better, up to beta = 1.", "this suite",
          ("beta/lite",), STS, matters=1.0, x="beta", line="HCL", shape="rises", ours=True),
    Greater("quick_thoughts_learns", "Quick-Thoughts improves encoders that were never trained.", "this suite", QT,
            TRANSFER, matters=0.3, method="QT (biased)", over="untrained", ours=True),
    Greater("quick_thoughts_over_words", "Quick-Thoughts beats the mean of word vectors.", "Quick-Thoughts, Table 2",
            QT, TRANSFER, matters=2.0, method="QT (biased)", over="mean word vector"),
    Curve("temperature", "SimCSE is best at a temperature of 0.05.", "SimCSE, Table D.1",
          ("temperature/paper", "temperature/lite"), STS, matters=1.0, x="temperature", line="", best=(0.05,)),
    Greater("temperature_one", "A temperature of 1 is far worse than 0.05.", "SimCSE, Table D.1",
            ("temperature/paper", "temperature/lite"), STS, matters=3.0, method="t=0.05", over="t=1"),
    Curve("hard_weight", "The weight of the contradictions, 0.5 to 2, changes little.", "SimCSE, Table 7",
          ("hard_weight/paper", "hard_weight/lite"), STS, matters=1.0, x="hard_weight", line="", shape="flat"),
    Greater("selection", "Choosing the checkpoint on STS-B's development part raises the number.", "this suite",
            ("selection/lite",), STS, matters=1.0, method="best on STS-B dev", over="last step", ours=True),
]) + named_after("9d282c3", [
    Greater("tfidf_on_documents", "On Lee's documents TF-IDF beats Quick-Thoughts of a few thousand sentences.",
            "this suite", ("transfer/quick",), LEE, matters=5.0, method="TF-IDF", over="QT (biased)", ours=True),
    Greater("words_on_documents", "On Lee's documents the mean of word vectors beats it too.", "this suite",
            ("transfer/quick",), LEE, matters=5.0, method="mean word vector", over="QT (biased)", ours=True),
])
