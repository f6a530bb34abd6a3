"""The studies of sequential recommendation, as data: which runs fill which cells, at each scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.sequential_recommendation.config import WITH_PREDICTION, Count, Network, Pretrain, Released, Train
from contrastbench.runner import CPU_ONLY, Line, On, Paper, Run, Stage, Study, only

# A stage's is raised when a change of code changes its results.
PROTOCOL_VERSIONS = {"train": 1, "count": 1, "pretrain": 1, "released": 1}
Changes = Mapping[str, Any]

# ------------------------------------------------------------------------------- the settings of SASRec at each scale

# No setting of smoke, quick and lite was chosen by a result: sizes follow from the time a run takes.
WORDS, MOVIELENS, LASTFM = "gensim_sequences", "ml-100k", "LastFM"
SMALL = (WORDS, MOVIELENS, LASTFM)
QUICK = Train(dataset=MOVIELENS, width=32, batch=128, epochs=30)
QUICK_WORDS = Train(dataset=WORDS, users=300, longest=20, width=32, batch=64, epochs=6, patience=3)
SMOKE = replace(QUICK_WORDS, users=60, longest=12, width=8, batch=24, epochs=2, pieces=2)


def large(base: Train, **of_ml_1m: Any) -> list[On]:
    """The papers' own sets, which need a GPU; the settings of ML-1M are the last."""
    names = ("Beauty", "Sports", "Toys", "Yelp")
    sets = [On(name, replace(base, dataset=name), seeds=5) for name in names]
    return [*sets, On("ML-1M", replace(base, dataset="ML-1M", **of_ml_1m), seeds=5)]


EVERYWHERE = {
    "smoke": [On(WORDS, SMOKE, seeds=2)],
    "quick": [On(MOVIELENS, QUICK)],
    "lite": [On(LASTFM, Train(epochs=30))],
    # ICLRec's run_ml_1m.sh looks back at 200 films.
    "paper": [On(LASTFM, Train(), seeds=5), *large(Train(), longest=200)],
}
# Declared before any run, by time alone: on LastFM an epoch of SASRec takes 1.2 seconds of one core.
TEN_SEEDS_ON_LASTFM = ("SASRec", "SASRec, clean negatives", "SASRec, patience 30")

# DuoRec's seq.yaml: a row for each target, at most 50 epochs, chosen by the validation MRR@10 without a mask.
PREFIXES = Train(sequences="prefixes", epochs=50, selection="mrr10_unmasked")
SMOKE_PREFIXES = replace(SMOKE, sequences="prefixes", epochs=1, selection="mrr10_unmasked", users=20)

# ------------------------------------------------------------------------------------------------------- the methods

# CoSeRec's main.py and its scripts. Its code hands the share of the mask to the reordering: 0.7 in place of 0.2.
COSEREC = {"views": "coserec", "crop": 0.2, "mask": 0.7, "reorder": 0.7}
ICLREC = {"views": "iclrec", "crop": 0.2, "mask": 0.7, "reorder": 0.2}
METHODS: dict[str, Changes] = {
    "SASRec": {},
    # As long as CoSeRec and ICLRec may take.
    "SASRec, patience 40": {"epochs": 300, "patience": 40},
    # Declared after ten seeds of SASRec on LastFM, of which four stopped at an early peak.
    "SASRec, patience 30": {"patience": 30},
    "SASRec, clean negatives": {"negatives": "untrained"},
    "SASRec, CE": {"loss": "ce"},
    "S3-Rec": {"start": "pretrain"},
    "S3-Rec, MIP + SP": {"start": "pretrain"},
    "CL4SRec": {"views": "cl4srec"},
    "CL4SRec, CE": {"loss": "ce", "views": "cl4srec"},
    "DuoRec": {"loss": "ce", "views": "duorec"},
    "DuoRec, dropout alone": {"loss": "ce", "views": "duorec", "partner": "dropout"},
    **{f"DuoRec, {name}": {"loss": "ce", "views": "duorec", "partner": name} for name in WITH_PREDICTION},
    "DuoRec, BCE": {"views": "duorec"},
    "CoSeRec": COSEREC,
    "CoSeRec, as paper": {**COSEREC, "reorder": 0.2},
    "CoSeRec, similar by counts alone": {**COSEREC, "warm_up": 300},
    "CoSeRec, similar by plain counts": {**COSEREC, "similar_by": "itemcf"},
    "CoSeRec, random items": {**COSEREC, "similar_by": "random"},
    "ICLRec": {**ICLREC, "k_means": "continued"},
    "ICLRec, k-means anew": ICLREC,
    "ICLRec, intents alone": {**ICLREC, "k_means": "continued", "weight": 0.0},
    "ICLRec, false negatives left out": {**ICLREC, "k_means": "continued", "false_negatives": "left_out"},
}
# What a method is compared with where that is not SASRec: SASRec under the same loss, and for as many epochs.
BASELINES = {"CL4SRec, CE": "SASRec, CE", "DuoRec": "SASRec, CE"}
PATIENT_METHODS = [name for name in METHODS if name.startswith(("CoSeRec", "ICLRec"))]
# What a method has of its own at a scale or on a data set, by its views: the authors' READMEs and scripts.
PATIENT = {"epochs": 300, "patience": 40}
OWN: dict[str, dict[str, Changes]] = {
    "coserec": {
        "smoke": {"warm_up": 0},
        "paper": PATIENT,
        "Beauty": {"short": 12, "short_operations": "SIMRC", "warm_up": 220, "insert": 0.5, "substitute": 0.05},
        "Yelp": {"warm_up": 300, "insert": 0.5},
    },
    "iclrec": {
        "smoke": {"clusters": 8},
        "quick": {"clusters": 16},
        MOVIELENS: {"clusters": 256},
        "paper": PATIENT,
        "Beauty": {"layers": 1},
        "Toys": {"layers": 3},
        "ML-1M": {"weight": 0.0},
    },
}
# Later papers list S3-Rec without attributes; which losses they kept is unconfirmed.
PRETRAINED: dict[str, Changes] = {"S3-Rec": {}, "S3-Rec, MIP + SP": {"aap": 0.0, "map": 0.0}}
PRETRAINED_AT: dict[str, Changes] = {
    # By time alone: at paper scale an epoch on LastFM has 258 steps, and there are 150.
    "smoke": {"batch": 24, "pieces": 2, "epochs": 1},
    "quick": {"pieces": 3, "epochs": 2},
    "lite": {"epochs": 3},
    # The epochs that the authors' reproduce/README.md goes on from.
    "Sports": {"epochs": 100},
    "Yelp": {"epochs": 100},
}
COUNTED: dict[str, Changes] = {
    "PopRec": {"method": "popularity"},
    # Both declared after PopRec's first row on LastFM, to find out why it is below print.
    "PopRec, training and validation": {"method": "popularity", "actions": "before_test"},
    "PopRec, all actions": {"method": "popularity", "actions": "all"},
    "Transitions": {"method": "transitions"},
}
# The files of weights that authors released. S3-Rec's are of its pre-training, from which SASRec goes on here.
RELEASED = {
    "Beauty": {"ICLRec": "ICLRec-Beauty-1", "CoSeRec": "CoSeRec-Beauty-0", "S3-Rec": "S3Rec-Beauty-epochs-150"},
    "Toys": {"ICLRec": "ICLRec-Toys_and_Games-1", "S3-Rec": "S3Rec-Toys_and_Games-epochs-150"},
    LASTFM: {"S3-Rec": "S3Rec-LastFM-epochs-150"},
}


def train_line(on: On, method: str, changes: Changes, settings: Changes | None = None) -> Line:
    """A method of the stage ``train`` under a name for people."""
    own = OWN.get(changes.get("views", on.base.views), {})
    config = replace(on.base, **{**own.get(on.scale, {}), **own.get(on.dataset, {}), **changes})
    needs = {"pretrain": pretraining_run(on, method, config)} if config.start == "pretrain" else {}
    ten = on.scale == "paper" and on.dataset == LASTFM and method in TEN_SEEDS_ON_LASTFM
    run = _run(on, method, config, "train", "clean" if config.negatives == "untrained" else "published", needs)
    patient = on.scale == "paper" and method in PATIENT_METHODS
    baseline = "SASRec, patience 40" if patient else BASELINES.get(method, "")
    return Line(run, {"method": method, **(settings or {})}, seeds=10 if ten else None, baseline=baseline)


def pretraining_run(on: On, method: str, then: Train) -> Run:
    """S3-Rec's pre-training of the encoder that a run with the config ``then`` goes on with."""
    alike = {name: getattr(then, name) for name in Network.__dataclass_fields__ if name != "learning_rate"}
    changes = {**PRETRAINED_AT.get(on.scale, {}), **PRETRAINED_AT.get(on.dataset, {}), **PRETRAINED[method]}
    return _run(on, f"{method}: pre-training", Pretrain(**alike, **changes), "pretrain")


def count_line(on: On, method: str) -> Line:
    config = Count(on.dataset, on.base.users, **COUNTED[method])
    protocol = "clean" if config.method == "transitions" else "published"
    return Line(_run(on, method, config, "count", protocol), {"method": method}, deterministic=True)


def released_line(on: On, method: str) -> Line:
    """The authors' weights; of S3-Rec the runs, one a seed, that go on from its one pre-training."""
    label = f"{method}, the authors' weights"
    run = _run(on, label, Released(on.dataset, RELEASED[on.dataset][method]), "released")
    if method != "S3-Rec":
        return Line(run, {"method": label}, deterministic=True)
    method = "S3-Rec, the authors' pre-training"
    then = _run(on, method, replace(on.base, start="pretrain"), "train", needs={"pretrain": run})
    return Line(replace(then, shared=("pretrain",)), {"method": method})


def _run(
    on: On,
    method: str,
    config: Train | Count | Pretrain | Released,
    stage: str,
    protocol: str = "published",
    needs: Mapping[str, Run] | None = None,
) -> Run:
    variant = "as_paper" if method.endswith("as paper") else "as_code"
    version = PROTOCOL_VERSIONS[stage]
    return Run(
        "sequential_recommendation", config, 0, on.scale, on.dataset, method, variant, protocol, version, stage,
        needs or {},
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- what each study compares


def lines_of(*methods: str) -> Callable[[On], list[Line]]:
    """A study of methods that have a name above."""

    def lines(on: On) -> list[Line]:
        return [count_line(on, name) if name in COUNTED else train_line(on, name, METHODS[name]) for name in methods]

    return lines


def main(on: On) -> list[Line]:
    quick = on.scale == "quick"
    names = [*COUNTED, "SASRec", *([] if quick else PRETRAINED), "CL4SRec", "CoSeRec"]
    names = [name for name in names if (name, on.dataset) != ("S3-Rec", "ML-1M")]  # which has no file of attributes
    names += [] if quick else ["CoSeRec, as paper"]
    names += ["ICLRec", "ICLRec, k-means anew"]
    names += ["SASRec, CE", "CL4SRec, CE", "DuoRec"] if on.dataset in SMALL else []
    names += ["SASRec, patience 40"] if on.scale == "paper" else []
    names += ["SASRec, patience 30"] if on.scale == "paper" and on.dataset == LASTFM else []
    return lines_of(*names)(on)


def ablations(on: On) -> list[Line]:
    names = ["SASRec, CE"] + [name for name in METHODS if name.startswith("DuoRec") and name != "DuoRec, BCE"]
    names += [] if on.scale == "smoke" else ["SASRec, patience 40"]
    names += [name for name in METHODS if name.startswith("CoSeRec") and not name.endswith("as paper")]
    names += [name for name in METHODS if name.startswith("ICLRec") and not name.endswith("anew")]
    return lines_of(*names)(on)


def pretraining(on: On) -> list[Line]:
    authors = [released_line(on, "S3-Rec")] if on.scale == "paper" else []
    return [*lines_of("SASRec", *PRETRAINED)(on), *authors]


def weights(on: On) -> list[Line]:
    return [released_line(on, method) for method in RELEASED[on.dataset]]


def axis(on: On, name: str, values: Mapping[str, Changes], default: Any, base: str = "CL4SRec") -> list[Line]:
    """A method with one setting changed."""
    return [
        train_line(on, method, {**METHODS[base], **changes}, {name: changes.get(name, default)})
        for method, changes in values.items()
    ]


def beta(on: On) -> list[Line]:
    hcl = {f"HCL beta={beta:g}": {"contrast": "hcl", "beta": beta} for beta in (0.5, 1.0, 2.0)}
    return axis(on, "beta", {"NT-Xent": {}, "DCL tau=0.1": {"contrast": "dcl", "tau_plus": 0.1}, **hcl}, 0.0)


def weight(on: On) -> list[Line]:
    values = {f"lambda={weight:g}": {"weight": weight} for weight in (0.05, 0.1, 0.2, 0.5)}
    return [train_line(on, "lambda=0", {}, {"weight": 0.0}), *axis(on, "weight", values, 0.1)]


def temperature(on: On) -> list[Line]:
    """By cosine, and by dot product, whose values reach 64 here: at t = 32 and 64 they are as small as cosines."""
    values: dict[str, Changes] = {f"dot, t={t:g}": {"temperature": t} for t in (0.5, 1.0, 2.0, 32.0, 64.0)}
    cosine = {f"cosine, t={t:g}": {"temperature": t, "similarity": "cosine"} for t in (0.1, 0.5, 1.0)}
    return axis(on, "temperature", {**values, **cosine}, 1.0)


def k(on: On) -> list[Line]:
    counts = (4, 8) if on.scale == "smoke" else (64, 128, 256, 512)
    anew = {f"K={count}, anew": {"clusters": count} for count in counts}
    continued = {f"K={count}": {"clusters": count} for count in counts}
    return [
        *axis(on, "clusters", continued, 256, "ICLRec"),
        *axis(on, "clusters", anew, 256, "ICLRec, k-means anew"),
    ]


# ------------------------------------------------------------------------------------------------------- the studies


def columns(rule: str, cuts: Sequence[int] = (5, 10, 20)) -> list[str]:
    return [f"test_{name}{cut}_{rule}_percent" for cut in cuts for name in ("hr", "ndcg")]


SETTLED = only(EVERYWHERE, *SMALL, at=("smoke", "quick", "paper"))
SWEPT = only(EVERYWHERE, *SMALL, at=("smoke", "lite", "paper"))
AT_10 = columns("zeroed", [10])

# fmt: off
STUDIES = [
    Study("main", "Do contrastive views help SASRec find the next item?",
          main, only(EVERYWHERE, at=("smoke", "quick", "paper")), columns("zeroed"), "SASRec",
          claims=(("CL4SRec, CE", "SASRec, CE"), ("DuoRec", "SASRec, CE")), only_by_name=("quick",)),
    Study("pretraining", "What is S3-Rec's pre-training worth, with the items' attributes and without?",
          pretraining, SWEPT, columns("zeroed"), "SASRec", claims=(("S3-Rec", "S3-Rec, MIP + SP"),)),
    Study("released", "Do the weights that authors released give the numbers that they printed?",
          weights, only(EVERYWHERE, *RELEASED, at=["paper"]), columns("zeroed")),
    Study("movielens", "Does training beat counting on real interactions, in minutes? MovieLens-100k",
          lines_of("PopRec", "Transitions", "SASRec", "CL4SRec", "SASRec, CE"),
          only(EVERYWHERE, at=["quick"]), columns("zeroed"), "SASRec"),
    Study("words", "Words of gensim's texts in place of items: what stood here before MovieLens",
          lines_of(*COUNTED, "SASRec", "SASRec, clean negatives", *PRETRAINED, "CL4SRec", "CoSeRec", "ICLRec",
                   "ICLRec, k-means anew", "SASRec, CE", "CL4SRec, CE", "DuoRec", "DuoRec, BCE"),
          {"quick": [On(WORDS, QUICK_WORDS)]}, columns("zeroed"), "SASRec", only_by_name=("quick",)),
    Study("rules", "What is the treatment of seen items worth? Three rules of full ranking",
          lines_of("PopRec", "SASRec", "SASRec, CE"), SETTLED,
          [*AT_10, *columns("unmasked", [10]), *columns("excluded", [10])], "SASRec"),
    Study("negatives", "What is it worth that the item of the test is never drawn as a negative?",
          lines_of("SASRec", "SASRec, clean negatives"), SETTLED, columns("zeroed", (10, 20)), "SASRec",
          only_by_name=("quick",)),
    Study("loss", "One random negative, or all items? SASRec and both contrastive methods under both losses",
          lines_of("SASRec", "CL4SRec", "DuoRec, BCE", "SASRec, CE", "CL4SRec, CE", "DuoRec"), SETTLED,
          [*AT_10, *columns("unmasked", [10])], "SASRec",
          claims=(("CL4SRec, CE", "CL4SRec"), ("DuoRec", "DuoRec, BCE")), only_by_name=("quick",)),
    Study("prefixes", "DuoRec's protocol: a row for each target, cross-entropy, no mask",
          lines_of("SASRec, CE", "CL4SRec, CE", "DuoRec"),
          # With the dropout of 0.5 that it ships DuoRec stays below its print on ML-1M; its issue 6 names 0.1.
          {"smoke": [On(WORDS, SMOKE_PREFIXES, seeds=2)], "paper": large(PREFIXES, dropout=0.1)},
          columns("unmasked"), "SASRec, CE"),
    Study("beta", "How hard should negatives be? HCL and DCL on CL4SRec's views", beta, SWEPT, AT_10, "NT-Xent"),
    Study("lambda", "How much should the contrastive loss of CL4SRec weigh?", weight, SWEPT, AT_10, "lambda=0"),
    Study("k", "How many intents? ICLRec over the number of clusters",
          k, only(EVERYWHERE, *SMALL, at=("smoke", "paper")), AT_10, "K=256"),
    Study("ablations", "What is each part worth? DuoRec's partners, CoSeRec's similar items, ICLRec's intents",
          ablations, only(EVERYWHERE, WORDS, LASTFM, at=["smoke", "paper"]), AT_10, "SASRec, CE"),
    Study("temperature", "CL4SRec over the temperature, by dot product and cosine",
          temperature, SWEPT, AT_10, "dot, t=1"),
]
# fmt: on

PAPER = Paper(
    __package__,
    "Sequential recommendation: S3-Rec, CL4SRec, CoSeRec, ICLRec and DuoRec, each beside SASRec with the same loss",
    STUDIES,
    stages={
        "train": Stage("sasrec.train"),
        "count": Stage("untrained.count", CPU_ONLY),
        "released": Stage("untrained.rank_by_weights", CPU_ONLY),
        "pretrain": Stage("s3rec.pretrain"),
    },
    versions=PROTOCOL_VERSIONS,
)
