"""The studies of graph recommendation, as data: which runs fill which cells, at each scale."""

from dataclasses import replace
from typing import Any

from benchmarks.graph_recommendation.config import Count, Train
from contrastbench.runner import CPU_ONLY, Line, On, Paper, Run, Stage, Study

PROTOCOL_VERSIONS = dict.fromkeys(("train", "pretrain", "count"), 1)  # raised when a change of code changes results


def columns(mask: str, cuts: tuple[int, ...], kinds: tuple[str, ...] = ("recall", "ndcg")) -> list[str]:
    return [f"test_{kind}{cut}_{mask}_percent" for kind in kinds for cut in cuts]


OURS = [*columns("train", (20,)), "test_recall20_known_percent"]

# ------------------------------------------------------------------------------- the settings of LightGCN on each set

# Sizes follow from the time a run takes. The learning rate and the weight of the contrast were chosen by the validation
# NDCG@20 of a split that no table uses (seed 100), see the README.
MOVIELENS = Train(
    "ml-100k", least_rating=4.0, width=32, layers=2, batch=1024, learning_rate=1e-2, epochs=20, every=2, weight=0.01
)
SMOKE = replace(MOVIELENS, dataset="example_pairs", least_rating=0.0, width=8, batch=256, epochs=2, every=1, clusters=4)
LASTFM = Train("lastfm-52k")
# SSLRec: config/modelconf/lightgcn.yml; RecBole-GNN: results/social/lastfm.md and results/general/ml-1m.md; SELFRec.
SSLREC = Train(
    "yelp-182k", width=32, layers=2, batch=4096, readout="sum", penalty="all", reg=1e-8, keep=0.5, epochs=500,
    selection="recall10", every=3, patience=5,
)  # fmt: skip
RECBOLE = Train("lastfm-93k", batch=4096, reg=1e-5, epochs=5000, selection="ndcg10", every=1, patience=50)
ML_1M = replace(RECBOLE, dataset="ml-1m", least_rating=3.0, learning_rate=2e-3, reg=1e-4, epochs=500, patience=10)
SELFREC = Train("yelp2018", selection="test_ndcg20", every=1, epochs=100)

QUICK = {"smoke": [On("example_pairs", SMOKE, 2)], "quick": [On("ml-100k", MOVIELENS)]}
LITE = {"smoke": QUICK["smoke"], "lite": [On("lastfm-52k", LASTFM)]}
ON_BOTH = {**QUICK, **LITE}
EVERYWHERE = {
    **QUICK,
    "lite": [On("lastfm-52k", LASTFM, 5)],
    "paper": [
        On("yelp-182k", SSLREC, 5),
        On("lastfm-93k", RECBOLE, 5),
        On("ml-1m", ML_1M, 5),
        On("yelp2018", SELFREC),
    ],
}
PRINTED = {  # on these sets the columns are those that are printed
    "yelp-182k": columns("train", (10, 20, 40)),
    "lastfm-93k": columns("known", (10,)),
    "ml-1m": columns("known", (10,)),
}

# ------------------------------------------------------------------------------------------------------- the methods

# As published for Yelp2018; SGL-Torch's README, SELFRec's, RUCAIBox/NCL's properties/yelp.yaml.
NCL: dict[str, Any] = {
    "method": "ncl", "temperature": 0.05, "weight": 1e-6, "item_weight": 1.5, "reduction": "sum",
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "SGL": {"method": "sgl"},
    "SimGCL": {"method": "simgcl", "readout": "no_ego", "weight": 0.5},
    "XSimGCL": {"method": "xsimgcl", "readout": "no_ego", "weight": 0.2, "eps": 0.2, "temperature": 0.15},
    "NCL-rec": {**NCL, "alpha_on": "both", "warm_up": 0},
}
# Where a set has settings of its own: changes to those above.
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "yelp-182k": {
        "SGL": {"against": "all", "temperature": 0.5, "weight": 1.0, "reg": 1e-5, "redrawn": "step",
                "third_view": True, "epochs": 300},
        "NCL-rec": {"layers": 3, "structure_layer": 4, "temperature": 1.0, "weight": 1e-3, "prototype_weight": 1e-2,
                    "clusters": 50, "item_weight": 1.0, "reduction": "mean", "reg": 1e-7, "keep": 1.0, "epochs": 300,
                    "alpha_on": "structure"},
    },
    "lastfm-93k": {"MF": {"learning_rate": 5e-4, "reg": 0.0}},
    "ml-1m": {
        "MF": {"learning_rate": 1e-3, "reg": 0.0},
        "SGL": {"against": "all", "temperature": 0.5, "weight": 0.005, "penalty": "ego_norms"},
        "SimGCL": {"layers": 2, "temperature": 0.05, "weight": 1e-5, "penalty": "ego_norms"},
        "XSimGCL": {"layers": 2, "temperature": 0.2, "weight": 0.1},
        "NCL-rec": {"temperature": 0.1, "prototype_weight": 8e-8, "penalty": "ego_norms", "alpha_on": "structure",
                    "warm_up": 20},
    },
    "yelp2018": {
        "SimGCL": {"penalty": "final_norms"},
        "XSimGCL": {"penalty": "final_norms"},
        "NCL-rec": {"clusters": 2000, "prototypes": "batch", "alpha_on": "structure", "warm_up": 20},
    },
}  # fmt: skip
SMALL = {"weight": 0.01, "temperature": 0.2, "eps": 0.1}  # on MovieLens and in smoke runs
SMALL_NCL = {"reduction": "mean", "item_weight": 1.0, "prototype_weight": 0.001, "clusters": 50}


def trained(on: On, method: str, **changes: Any) -> Train:
    """The settings of a method on a data set; ``changes`` come last."""
    settled = dict(METHODS.get(method, {}))
    if on.scale in ("smoke", "quick") and settled:
        settled |= {**SMALL, **(SMALL_NCL if method == "NCL-rec" else {})}
        settled |= {"clusters": 4} if on.scale == "smoke" and method == "NCL-rec" else {}
    if method == "MF":
        settled["layers"] = 0
    return replace(on.base, **{**settled, **OWN.get(on.dataset, {}).get(method, {}), **changes})


def line(
    on: On,
    method: str,
    config: Train | Count,
    settings: dict[str, Any] | None = None,
    *,
    stage: str = "train",
    variant: str = "",
    **more: Any,
) -> Line:
    chosen_on_test = isinstance(config, Train) and config.selection.startswith("test")
    run = Run(
        "graph_recommendation", config, 0, on.scale, on.dataset, method,
        variant=variant or ("as_code" if on.scale == "paper" else "as_paper"),
        protocol="published" if on.scale == "paper" or chosen_on_test else "clean",
        protocol_version=PROTOCOL_VERSIONS[stage], stage=stage, needs=more.pop("needs", {}),
    )  # fmt: skip
    return Line(run, settings or {"method": method}, **{"metrics": PRINTED.get(on.dataset, ()), **more})


def counted(on: On) -> list[Line]:
    """What needs no training. Only the split is random, and not where the files have all three parts."""
    shared = {"dataset": on.base.dataset, "least_rating": on.base.least_rating}
    # An inverse over Yelp's places takes minutes: one ridge, fixed before any run.
    ridges = {"ridges": (500.0,)} if on.dataset in ("yelp-182k", "yelp2018") else {}
    given = on.dataset == "yelp-182k"
    return [
        line(on, method, Count(method=name, **shared, **(ridges if name == "ease" else {})), stage="count",
             deterministic=given)
        for method, name in (("popularity", "popularity"), ("ItemKNN", "item_knn"), ("EASE", "ease"))
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- what each study compares


def main(on: On) -> list[Line]:
    names = ("MF", "LightGCN", *METHODS)
    if on.dataset == "yelp-182k":
        names = ("LightGCN", "SGL", "NCL-rec")  # what SSLRec printed of these
    if on.dataset == "lastfm-93k":
        names = ("MF", "LightGCN", "SGL", "XSimGCL")
    lines = [*counted(on), *(line(on, name, trained(on, name)) for name in names)]
    if on.dataset == "lastfm-93k":  # named when SGL's runs had ended after some sixty epochs, as far as untrained
        lines.append(line(on, "SGL, patience 150", trained(on, "SGL", patience=150)))
    return lines


def operators(on: On) -> list[Line]:
    return [
        line(on, f"SGL, {operator}", trained(on, "SGL", operator=operator), {"operator": operator})
        for operator in ("edge", "node", "walk", "none")
    ]


def noise(on: On) -> list[Line]:
    lines = [line(on, f"XSimGCL eps={eps:g}", trained(on, "XSimGCL", eps=eps), {"eps": eps})
             for eps in (0.0, 0.05, 0.1, 0.2, 0.5)]  # fmt: skip
    layers = range(1, on.base.layers + 1)
    return [*lines, *(line(on, f"XSimGCL l*={layer}", trained(on, "XSimGCL", contrast_layer=layer), {"layer": layer})
                      for layer in layers)]  # fmt: skip


def weight(on: On) -> list[Line]:
    return [
        line(on, f"{method} weight={value:g}", trained(on, method, weight=value), {"weight": value})
        for method in ("SGL", "XSimGCL")
        for value in (0.001, 0.01, 0.05, 0.1, 0.2, 0.5)
    ]


def temperature(on: On) -> list[Line]:
    return [
        line(on, f"{method} t={value:g}", trained(on, method, temperature=value), {"t": value})
        for method in ("SGL", "XSimGCL")
        for value in (0.05, 0.1, 0.15, 0.2, 0.5, 1.0)
    ]


def layers(on: On) -> list[Line]:
    return [
        line(on, f"{method} L={count}, {readout}", trained(on, method, layers=count, readout=readout, contrast_layer=1),
             {"L": count, "readout": readout})
        for method in ("LightGCN", "XSimGCL")
        for readout in ("mean", "no_ego")
        for count in (1, 2, 3, 4)
    ]  # fmt: skip


def hardness(on: On) -> list[Line]:
    """HCL from 0 on, DCL and BCL on two methods, each at a weight where the contrast rules and at a small one."""
    losses: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {"InfoNCE": ({}, {"beta": 0.0})}
    for beta in (0.25, 0.5, 1.0):
        losses[f"HCL beta={beta:g}"] = {"contrast": "hcl", "beta": beta}, {"beta": beta}
    for prior in (0.0001, 0.001, 0.01):
        losses[f"DCL tau={prior:g}"] = {"contrast": "dcl", "tau_plus": prior}, {"tau_plus": prior}
    losses["BCL"] = {"contrast": "bcl", "beta": 0.9, "tau_plus": 0.001}, {"loss": "bcl"}
    return [
        line(on, f"{method} weight={value:g}, {name}", trained(on, method, weight=value, **changes),
             {"weight": value, **settings}, baseline=f"{method} weight={value:g}, InfoNCE")
        for method in ("XSimGCL", "SGL")
        for value in (0.2, 0.01)
        for name, (changes, settings) in losses.items()
    ]  # fmt: skip


def clusters(on: On) -> list[Line]:
    values = (2, 4) if on.scale == "smoke" else (10, 50, 200, 1000) if on.scale == "lite" else (10, 50, 200)
    return [
        line(on, f"NCL-rec K={count}{said}", trained(on, "NCL-rec", clusters=count, concentration=concentration),
             {"K": count, "t": concentration})
        for concentration, said in (("fixed", ""), ("pcl", ", PCL's t"))
        for count in values
    ]  # fmt: skip


def choice(on: On) -> list[Line]:
    """Validation against test, and how long one waits: patience 2 is ten epochs at lite."""
    ways: dict[str, dict[str, Any]] = {
        "validation": {},
        "test": {"selection": "test_ndcg20"},
        "last epoch": {"selection": "last"},
        "patience 2": {"patience": 2},
        "patience 10": {"patience": 10},
    }
    return [
        line(on, f"{method}, {way}", trained(on, method, **changes), {"choice": way},
             baseline=f"{method}, validation")
        for method in ("LightGCN", "XSimGCL")
        for way, changes in ways.items()
    ]  # fmt: skip


def epochs(on: On) -> list[Line]:
    """Recall as training goes on: where a short patience stops."""
    counts = (1, 2) if on.scale == "smoke" else (5, 10, 25, 40, 80, 160, 300)
    return [
        line(on, f"{method} epochs={count}", trained(on, method, epochs=count, selection="last"), {"epochs": count})
        for method in ("LightGCN", "XSimGCL")
        for count in counts
    ]


def forms(on: On) -> list[Line]:
    """What the papers write, and what the code does instead."""
    ways: dict[str, tuple[str, dict[str, Any], str]] = {
        "SGL": ("SGL", {}, "as_paper"),
        "SGL, all nodes": ("SGL", {"against": "all"}, "as_code"),
        "SGL, summed": ("SGL", {"reduction": "sum"}, "as_code"),
        "XSimGCL": ("XSimGCL", {}, "as_paper"),
        "XSimGCL, SELFRec's L2": ("XSimGCL", {"penalty": "final_norms"}, "as_code"),
        "LightGCN": ("LightGCN", {}, "as_paper"),
        "LightGCN, L2 not squared": ("LightGCN", {"penalty": "ego_norms"}, "as_code"),
        "LightGCN, users drawn": ("LightGCN", {"drawn": "users", "start": "normal"}, "as_code"),
        "NCL-rec": ("NCL-rec", {}, "as_paper"),
        "NCL-rec, SELFRec's": (
            "NCL-rec",
            {"prototypes": "batch", "alpha_on": "structure", "warm_up": on.base.warm_up},
            "as_code",
        ),
    }
    return [
        line(on, name, trained(on, method, **changes), variant=variant, baseline=method)
        for name, (method, changes, variant) in ways.items()
    ]  # fmt: skip


def schemas(on: On) -> list[Line]:
    """One encoder, XSimGCL's, and equal numbers of steps."""
    third = max(1, on.base.epochs // 3)
    noisy = trained(on, "XSimGCL")
    plain = replace(noisy, method="lightgcn")
    first = line(on, "pre-training", replace(noisy, loss="none", epochs=third), stage="pretrain").run
    later = {"start": "pretrain", "epochs": on.base.epochs - third}
    one_loss = replace(noisy, method="integrated", loss="none", weight=1.0, similarity="cosine")  # it trains cosines
    return [
        line(on, "main task", plain),
        line(on, "joint", noisy),
        line(on, "pre-train, fine-tune", replace(plain, **later), needs={"pretrain": first}),
        line(on, "pre-train, frozen", replace(plain, **later, trained="map"), needs={"pretrain": first}),
        line(on, "integrated", one_loss),
        line(on, "integrated, no noise", replace(one_loss, eps=0.0)),
        line(on, "integrated, ranked by dot product", replace(one_loss, similarity="dot")),  # declared after its rows
    ]


def retrieval(on: On) -> list[Line]:
    """EBR: matrix factorisation by cosine and triplets, with random and mined negatives; and HCL, which weighs them."""
    base = trained(on, "MF", loss="triplet", similarity="cosine", reg=0.0)
    ways: dict[str, dict[str, Any]] = {
        "random": {},
        "hardest in batch": {"negatives": "batch"},
        "ranks 101 to 500": {"negatives": "ranked"},
        **{f"{easy} random to 1 hard": {"negatives": "blend", "easy": easy} for easy in (1, 10, 100)},
        "random, then hard": {"negatives": "random_first"},
        "hard, then random": {"negatives": "ranked_first"},
    }
    lines = [line(on, name, replace(base, **changes), {"negatives": name}) for name, changes in ways.items()]
    weighed = replace(base, method="integrated", loss="none", weight=1.0, temperature=0.2)
    for beta in (0.0, 0.5, 1.0):
        name = f"HCL in batch, beta={beta:g}" if beta else "InfoNCE in batch"
        lines.append(
            line(on, name, replace(weighed, contrast="hcl" if beta else "info_nce", beta=beta), {"beta": beta})
        )
    return lines


# ------------------------------------------------------------------------------------------------------- the studies

BY_NAME = {"only_by_name": ("quick",)}
# fmt: off
STUDIES = [
    Study("main", "Do contrastive views help LightGCN, and do either beat a linear model in closed form?",
          main, EVERYWHERE, OURS, "LightGCN", claims=(("LightGCN", "EASE"), ("XSimGCL", "EASE"))),
    Study("beta", "How hard should negatives be? HCL, DCL and BCL at a large and a small weight of the contrast",
          hardness, ON_BOTH, OURS, **BY_NAME),
    Study("k", "How many clusters? NCL-rec over K, with one temperature and with PCL's concentrations",
          clusters, ON_BOTH, OURS, **BY_NAME),
    Study("operators", "Which view of the graph? SGL without edges, without nodes, by random walk, and unchanged",
          operators, LITE, OURS, "SGL, edge"),
    Study("noise", "How much noise, and against which layer? XSimGCL over eps and l*", noise, LITE, OURS,
          "XSimGCL eps=0.2"),
    Study("weight", "How much should the contrast weigh?", weight, LITE, OURS),
    Study("temperature", "At which temperature?", temperature, LITE, OURS),
    Study("layers", "How many layers, and with E_0 in the readout or without?", layers, LITE, OURS),
    Study("choice", "What is the choice of the epoch worth: by validation, by the test, at the end, or by patience?",
          choice, LITE, OURS),
    Study("epochs", "Where would patience stop? Recall after 5 to 300 epochs", epochs, LITE, OURS),
    Study("forms", "Do the differences between papers and code matter?", forms, LITE, OURS),
    Study("schemas", "Joint, pre-trained or integrated: how should the contrast be trained?",
          schemas, ON_BOTH, OURS, "joint", **BY_NAME),
    Study("retrieval", "Hard or easy negatives for retrieval? EBR's recipes",
          retrieval, ON_BOTH, ["test_recall20_train_percent", "test_recall100_train_percent"], "random",
          claims=(("hard, then random", "random, then hard"),), **BY_NAME),
]
# fmt: on

PAPER = Paper(
    __package__,
    "Graph recommendation: LightGCN, SGL, SimGCL, XSimGCL and NCL-rec, beside what needs no training",
    STUDIES,
    stages={
        "train": Stage("train.train"),
        "pretrain": Stage("train.pretrain"),
        "count": Stage("train.count", CPU_ONLY),
    },
    versions=PROTOCOL_VERSIONS,
)
