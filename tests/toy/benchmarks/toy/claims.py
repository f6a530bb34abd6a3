"""What the toy claims."""

from contrastbench.verdicts.claims import Greater

METRIC = "test_top1_percent"
CLAIMS = [
    Greater(
        "gain", "Better beats Plain.", "Table 1", ("main/quick",), METRIC, printed=10.0, method="Better", over="Plain"
    ),
    Greater(
        "never",
        "What is never run helps.",
        "Table 2",
        ("main/smoke",),
        METRIC,
        matters=1.0,
        method="Better",
        over="Plain",
    ),
]
