"""What InfoGraph, GraphCL and HCL's graph part claim, and what this suite found beside it; judged from rows."""

from contrastbench.verdicts.claims import Equal, Greater, named_after

SVM = "test_svm_accuracy_percent"
RAW, SCALED = "test_svm_accuracy_unscaled_percent", "test_svm_accuracy_standardised_percent"
# main has the loss at every beta too, and of the compared ones all fifty seeds.
MAIN, BETA = ("main/paper", "main/quick"), ("main/paper", "beta/quick")
GIN = "Untrained GIN"
ELSEWHERE = ("MUTAG", "PTC_MR", "IMDB-BINARY", "IMDB-MULTI", "ENZYMES", "PROTEINS", "NCI1", "DD", "COLLAB")

# fmt: off
CLAIMS = named_after("3ccc134", [
    Greater("infograph_over_wl", "InfoGraph beats the Weisfeiler-Lehman kernel.", "InfoGraph, Table 1", MAIN, SVM,
            matters=1.0, method="InfoGraph", over="WL kernel"),
    Greater("infograph_over_graphlets", "InfoGraph beats the graphlet kernel.", "InfoGraph, Table 1", ("main/paper",),
            SVM, printed=5.85, method="InfoGraph", over="Graphlet kernel"),
    Greater("training_helps", "Training a GIN with InfoGraph beats not training it.", "this suite", MAIN, SVM,
            matters=1.0, method="InfoGraph", over=GIN, ours=True),
    Greater("gap_is_scale", "Most of that gap is the scale of the features: standardised before the SVM it shrinks.",
            "this suite", ("scaling/paper", "scaling/lite"), RAW, matters=2.0,
            terms=((1, "InfoGraph", RAW), (-1, GIN, RAW), (-1, "InfoGraph", SCALED), (1, GIN, SCALED)), ours=True),
    Equal("standardised_alike", "With standardised features the trained and the untrained GIN are within a point.",
          "this suite", ("scaling/paper", "scaling/lite"), SCALED, matters=1.0, method="InfoGraph", over=GIN,
          ours=True),
    Greater("feature_sum", "Summing node features, without any network, is as good as InfoGraph or better.",
            "this suite", MAIN, SVM, matters=0.5, method="Feature sum", over="InfoGraph", ours=True),
    Greater("hard_over_infograph", "HCL's graph loss as the paper writes it (beta = 10) beats InfoGraph.",
            "HCL, Fig. 4", BETA, SVM, matters=0.5, method="Hard (paper), beta=10", over="InfoGraph"),
    Greater("hardness", "In that loss it is hardness that helps: beta = 10 beats beta = 0.", "HCL, Fig. 4", BETA, SVM,
            matters=0.5, method="Hard (paper), beta=10", over="Hard (paper), beta=0"),
    Greater("code_over_infograph", "HCL's graph loss as its code has it (beta = 10) beats InfoGraph.",
            "HCL, released code", BETA, SVM, matters=0.5, method="Hard (code), beta=10", over="InfoGraph"),
    Greater("code_hardness", "In the code's loss hardness helps: beta = 10 beats beta = 0.", "HCL, released code",
            BETA, SVM, matters=0.5, method="Hard (code), beta=10", over="Hard (code), beta=0"),
    Greater("paper_over_code", "The paper's loss beats its code's at beta = 10.", "this suite", BETA, SVM,
            matters=0.5, method="Hard (paper), beta=10", over="Hard (code), beta=10", ours=True),
    Greater("sign", "Weights that favour hard negatives (beta = 10) beat those that favour easy ones (-10).",
            "this suite", ("sign/paper", "sign/lite"), SVM, matters=0.5, method="beta=10", over="beta=-10",
            ours=True),
    Greater("graphcl_over_untrained", "GraphCL beats the untrained GIN.", "this suite", ("graphcl/paper",), SVM,
            matters=1.0, method="GraphCL", over=GIN, ours=True),
    Greater("best_epoch", "Choosing the epoch on the test folds raises InfoGraph's number by half a point or more.",
            "this suite", ("epochs/paper", "epochs/quick"), "test_svm_accuracy_best_epoch_on_test_folds_percent",
            matters=0.5,
            terms=((1, "InfoGraph", "test_svm_accuracy_best_epoch_on_test_folds_percent"),
                   (-1, "InfoGraph", "test_svm_accuracy_epoch_200_percent")),
            ours=True),
    Equal("twenty_epochs", "InfoGraph after 20 epochs is as good as after 200.", "this suite",
          ("epochs/paper", "epochs/quick"), "test_svm_accuracy_epoch_20_percent", matters=0.5,
          terms=((1, "InfoGraph", "test_svm_accuracy_epoch_20_percent"),
                   (-1, "InfoGraph", "test_svm_accuracy_epoch_200_percent")),
          ours=True),
    Greater("test_graphs_in_training", "Training on the test graphs too (without labels) raises InfoGraph's number.",
            "this suite", ("protocol/paper", "protocol/lite"), SVM, matters=0.5, method="InfoGraph, published",
            over="InfoGraph, clean", ours=True),
    Greater("degree_features", "Node degrees as features beat a constant.", "this suite", ("features/paper",), SVM,
            matters=0.5, method="InfoGraph", over="InfoGraph, constant", ours=True),
]) + named_after("9d282c3", [
    Greater("training_helps_elsewhere",
            "Training also beats not training without REDDIT-BINARY, where no seed moves the untrained GIN's number.",
            "this suite", ("main/paper",), SVM, ELSEWHERE, matters=1.0, method="InfoGraph", over=GIN, ours=True),
    Greater("gap_as_it_is", "On the sets that were standardised, training beats not training as the features are.",
            "this suite", ("scaling/paper",), RAW, matters=1.0, method="InfoGraph", over=GIN, ours=True),
])
