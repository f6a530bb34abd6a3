"""What the papers behind the losses claim, from NCE to HCL; judged from the rows of the tables."""

from math import log

from contrastbench.verdicts.claims import Bound, Curve, Equal, Greater, Rate, named_after

KNN = "test_knn_top1_percent"
BIAS, MSE = ("estimator_bias/paper", "estimator_bias/quick"), ("estimator_mse/paper", "estimator_mse/quick")
NCE = ("nce_gradient/paper", "nce_gradient/quick")
UNIFORMITY = "test_uniformity"  # lower is more even
PACKING = "share_of_best_packing_percent"

# fmt: off
CLAIMS = named_after("3ccc134", [
    Rate("nce_bias", "The bias of NCE's gradient falls as 1/k.", "Mnih and Teh 2012, section 3", NCE, "bias_percent",
         matters=0.1, x="k", line="NCE", slope=-1.0, least=9),
    Rate("nce_spread", "The spread of NCE's gradient falls as the root of 1/k.", "Gutmann and Hyvarinen 2010", NCE,
         "spread_percent", matters=0.1, x="k", line="NCE", slope=-0.5, least=9),
    Curve("nce_angle", "NCE's gradient turns towards maximum likelihood's as k grows.", "Mnih and Teh 2012", NCE,
          "angle_degrees", matters=1.0, x="k", line="NCE", shape="falls"),
    Equal("nce_likelihood", "With 25 noise samples NCE reaches maximum likelihood's perplexity.", "Mnih and Teh 2012",
          ("nce_normaliser/paper", "nce_normaliser/quick"), "test_perplexity", matters=1.0, method="NCE k=25",
          over="maximum likelihood"),
    Greater("nce_normalises",
            "NCE with its normaliser fixed to 1 learns to normalise itself, better than likelihood.",
            "Mnih and Teh 2012", ("nce_normaliser/paper", "nce_normaliser/quick"), "test_mean_absolute_log_z",
            matters=0.5, method="NCE k=25", over="maximum likelihood"),
    Bound("infonce_bound", "No InfoNCE estimate is above log N.", "CPC 2018; Poole et al. 2019",
          ("information/paper", "information/quick"), "bound_nats", matters=0.01,
          at_most={f"N = {n}": log(n) for n in (4, 16, 64, 256, 1024)}),
    Greater("infonce_tightens", "InfoNCE's bound grows with the number of samples.", "CPC 2018",
            ("information/paper", "information/quick"), "bound_nats", matters=0.5, method="N = 1024", over="N = 4"),
    Greater("biased_is_biased", "With false negatives the usual negative term is biased.", "DCL", BIAS,
            "bias_percent", matters=10.0, terms=((1, "biased", "bias_percent"),)),
    Equal("dcl_unbiased", "DCL's negative term has (nearly) no bias.", "DCL", BIAS, "bias_percent", matters=3.0,
          terms=((1, "DCL", "bias_percent"),)),
    Equal("bcl_unbiased", "BCL's negative term has (nearly) no bias.", "BCL", BIAS, "bias_percent", matters=3.0,
          terms=((1, "BCL", "bias_percent"),)),
    Greater("dcl_closer", "DCL's negative term is closer to the true one than the biased one.", "DCL, Theorem 3", MSE,
            "mse", matters=0.2, method="DCL", over="biased"),
    Greater("bcl_closer", "BCL's negative term is closer than DCL's.", "BCL, numerical experiments", MSE, "mse",
            matters=0.2, method="BCL", over="DCL"),
    Greater("hcl_debiasing", "Debiasing brings HCL's hard mean closer to the true one.", "HCL, section 3",
            ("hard_estimator/paper", "hard_estimator/quick"), "root_mse_percent", matters=2.0, method="HCL",
            over="not debiased"),
    Curve("hcl_limit", "As beta grows HCL's negative term becomes that of the hardest negative alone.",
          "HCL, Proposition 3", ("limit_weights/paper", "limit_weights/quick"), "negative_term_of_the_worst_percent",
          matters=10.0, x="beta", line="HCL", shape="rises"),
    Equal("hcl_packing", "With the hardest negatives classes pack like balls on a sphere.", "HCL, Theorem 4",
          ("limit_packing/paper", "limit_packing/quick"), PACKING, matters=2.0, terms=((1, "HCL beta=20", PACKING),),
          target=100.0),
    Greater("hardness_uniform", "Hard negatives make embeddings more uniform.", "HCL",
            ("alignment/paper", "alignment/quick"), UNIFORMITY, matters=0.1,
            terms=((1, "SimCLR", UNIFORMITY), (-1, "HCL", UNIFORMITY))),
    Greater("hardness_better", "Hard negatives make embeddings of digits better, trained to the end.", "HCL, Fig. 3",
            ("alignment/paper", "alignment/quick"), KNN, matters=0.3, method="HCL", over="SimCLR"),
    Greater("annealing", "At a beta that is too large (5), letting it fall to 0 during training helps.",
            "HCL, figure on annealing", ("annealing/paper", "annealing/quick"), KNN, matters=0.3,
            method="HCL beta=5, annealed", over="HCL beta=5"),
    Greater("true_positives", "Positives by label help HCL.", "HCL, figure on true positives",
            ("annealing/paper", "annealing/quick"), KNN, matters=0.3, method="HCL beta=1, true positives",
            over="HCL"),
    Greater("harder_with_true_positives", "With positives by label harder is better.",
            "HCL, figure on true positives", ("annealing/paper", "annealing/quick"), KNN, matters=0.3,
            method="HCL beta=5, true positives", over="HCL beta=1, true positives"),
    Greater("hard_mining_collapses",
            "Mining the hardest triplets draws all embeddings together; semi-hard ones do not.", "FaceNet 2015",
            ("mining/quick",), "test_mean_distance", matters=0.5, method="semi-hard", over="hard"),
    Greater("semi_hard_recall", "Semi-hard mining beats taking every triplet.", "FaceNet 2015",
            ("mining/paper", "mining/quick"), "test_recall_at_1_percent", matters=0.3, method="semi-hard",
            over="every"),
    Greater("easy_triplets", "Easy triplets teach less than semi-hard ones.", "FaceNet 2015",
            ("mining/paper", "mining/quick"), "test_recall_at_1_percent", matters=1.0, method="semi-hard",
            over="easy"),
])
