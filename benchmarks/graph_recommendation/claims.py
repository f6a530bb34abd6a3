"""What graph recommenders claim over LightGCN, and what this suite asks beside it; judged from rows."""

from contrastbench.verdicts.claims import Greater, named_after

RECALL, NDCG = "test_recall20_train_percent", "test_ndcg20_train_percent"
MAIN, SCHEMAS = ("main/paper", "main/lite", "main/quick"), ("schemas/lite", "schemas/quick")
RETRIEVAL, BETA = ("retrieval/lite", "retrieval/quick"), ("beta/lite", "beta/quick")
K, EPOCHS, CHOICE = ("k/lite", "k/quick"), ("epochs/lite",), ("choice/lite",)
OVER_LIGHTGCN = {
    "SGL": "SGL, layers and operators on Yelp2018",
    "SimGCL": "SimGCL, main table",
    "XSimGCL": "XSimGCL, main table",
    "NCL-rec": "NCL, Table 2",
}

# Every sentence but that of "graph" was in the README before a run (be76fe1). What matters was fixed when rows of main
# and schemas at quick scale had been seen, and a few of retrieval; none of beta. The last three were named later and
# before a row of their tables; of "sinks" and "patience" a trial of one seed had been seen.
# fmt: off
CLAIMS = [
    *named_after("9d282c3", [
        Greater("lightgcn_over_popularity", "LightGCN beats recommending what is popular.", "this suite", MAIN, RECALL,
                matters=2.0, method="LightGCN", over="popularity", ours=True),
    ]),
    *named_after("cd5a67c", [
        *(Greater(method.lower().partition("-")[0], f"{method} improves LightGCN.", where, MAIN, RECALL, matters=0.5,
                  method=method, over="LightGCN") for method, where in OVER_LIGHTGCN.items()),
        Greater("lightgcn_over_ease", "LightGCN beats EASE, a linear model in closed form.", "this suite", MAIN, RECALL,
                matters=0.5, method="LightGCN", over="EASE", ours=True),
        Greater("graph", "Propagation over the graph improves matrix factorisation.", "SELFRec, README", MAIN,
                RECALL, matters=0.5, method="LightGCN", over="MF"),
        Greater("joint", "Joint training beats pre-training, then fine-tuning.", "this suite", SCHEMAS, NDCG,
                matters=0.5, method="joint", over="pre-train, fine-tune", ours=True),
    ]),
    Greater("blend", "Ten random negatives to a hard one beat random negatives alone.", "EBR, as recalled", RETRIEVAL,
            RECALL, matters=0.5, method="10 random to 1 hard", over="random"),
    Greater("hard_first", "Hard negatives, then random ones beat the reverse.", "EBR, as recalled", RETRIEVAL, RECALL,
            matters=0.5, method="hard, then random", over="random, then hard"),
    Greater("hard_at_small_weight", "Hard negatives (HCL) help XSimGCL where the contrast weighs little.", "this suite",
            BETA, RECALL, matters=0.5, method="XSimGCL weight=0.01, HCL beta=0.5", over="XSimGCL weight=0.01, InfoNCE",
            ours=True),
    Greater("hard_at_large_weight", "Hard negatives (HCL) harm XSimGCL where the contrast weighs much.", "this suite",
            BETA, RECALL, matters=0.5, method="XSimGCL weight=0.2, InfoNCE", over="XSimGCL weight=0.2, HCL beta=1",
            ours=True),
    Greater("sinks", "XSimGCL's recall sinks between epochs 5 and 25, before it rises.", "this suite", EPOCHS, RECALL,
            matters=0.5, method="XSimGCL epochs=5", over="XSimGCL epochs=25", ours=True),
    Greater("patience", "A patience of ten epochs stops XSimGCL too early.", "this suite", CHOICE, RECALL, matters=0.5,
            method="XSimGCL, validation", over="XSimGCL, patience 2", ours=True),
    Greater("concentrations", "PCL's concentrations improve NCL-rec's prototypes.", "this suite", K, RECALL,
            matters=0.5, method="NCL-rec K=50, PCL's t", over="NCL-rec K=50", ours=True),
]
# fmt: on
