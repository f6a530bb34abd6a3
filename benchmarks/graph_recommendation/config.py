"""Every setting of one run. No torch here: planning reads it."""

from dataclasses import dataclass

from contrastbench.runner import setting

METHODS = ("lightgcn", "sgl", "simgcl", "xsimgcl", "integrated", "ncl")
CONTRASTIVE = {"method": METHODS[1:]}
IN_BATCH = {"method": METHODS[1:5], "against": ("batch",)}
MAIN = {"loss": ("bpr", "triplet")}
PENALTIES = ("ego", "ego_norms", "final_norms", "all")
NEGATIVES = ("random", "batch", "ranked", "blend", "random_first", "ranked_first")
LOOKING = ("ndcg20", "ndcg10", "recall10", "test_ndcg20")


@dataclass(frozen=True)
class Train:
    """A recommender trained on pairs. Defaults are LightGCN's (LightGCN-PyTorch, SGL-Torch, SELFRec)."""

    dataset: str = "lastfm-52k"
    least_rating: float = setting(0.0, "[0, inf)")  # pairs with a lower rating are left out
    # The contrast beside the main loss. "ncl" is NCL-rec; "integrated" contrasts a user, under noise, with its item.
    method: str = setting("lightgcn", METHODS)
    loss: str = setting("bpr", ("bpr", "triplet", "none"))  # the main loss; "triplet" is EBR's
    similarity: str = setting("dot", ("dot", "cosine"))  # of a user and an item in the test
    width: int = setting(64, "[1, inf)")
    layers: int = setting(3, "[0, 20]")  # 0 is matrix factorisation
    # Of E_0 to E_L: "sum" is SSLRec's; "no_ego", the mean of E_1 to E_L, SimGCL's and XSimGCL's.
    readout: str = setting("mean", ("mean", "sum", "no_ego"))
    start: str = setting("xavier", ("xavier", "normal", "pretrain"))  # "pretrain": of the run needed by this name
    trained: str = setting("embeddings", ("embeddings", "map"))  # "map": embeddings stay, a linear map is trained
    drawn: str = setting("pairs", ("pairs", "users"))  # of what a batch is drawn; "users": then an item of each
    keep: float = setting(1.0, "(0, 1]")  # share of the directed edges that a step keeps, anew each time (SSLRec)
    penalty: str = setting("ego", PENALTIES, **MAIN)  # see losses.py
    reg: float = setting(1e-4, "[0, inf)", **MAIN)
    weight: float = setting(0.1, "[0, inf)", **CONTRASTIVE)  # of the contrastive loss
    temperature: float = setting(0.2, "(0, inf)", **CONTRASTIVE)
    contrast: str = setting("info_nce", ("info_nce", "dcl", "hcl", "bcl"), **IN_BATCH)
    tau_plus: float = setting(0.0, "[0, 1)", **IN_BATCH, contrast=("dcl", "hcl", "bcl"))  # class prior
    beta: float = setting(0.0, "[0, 1000]", **IN_BATCH, contrast=("hcl", "bcl"))  # hardness; bcl in [0.5, 1]
    alpha: float = setting(0.6, "[0.5, 1]", **IN_BATCH, contrast=("bcl",))  # assumed P(a positive scores higher)
    against: str = setting("batch", ("batch", "all"), method=METHODS[1:4])  # a node's rivals: the batch's nodes, or all
    reduction: str = setting("mean", ("mean", "sum"), **CONTRASTIVE)  # "sum": times the batch's size
    operator: str = setting("edge", ("edge", "node", "walk", "none"), method=("sgl",))  # "walk": edges, layer by layer
    drop: float = setting(0.1, "[0, 1)", method=("sgl",), operator=("edge", "node", "walk"))  # share that a view loses
    redrawn: str = setting("epoch", ("epoch", "step"), method=("sgl",))  # when views are drawn anew
    third_view: bool = setting(False, method=("sgl",))  # the negative items are contrasted too (SSLRec)
    eps: float = setting(0.1, "[0, inf)", method=METHODS[2:5])  # length of the noise
    contrast_layer: int = setting(1, "[0, 20]", method=("xsimgcl",))  # l*, contrasted with the final embedding
    structure_layer: int = setting(2, "[1, 20]", method=("ncl",))  # contrasted with E_0
    item_weight: float = setting(1.0, "[0, inf)", method=("ncl",))  # its alpha, of the items' part
    alpha_on: str = setting("structure", ("structure", "both"), method=("ncl",))  # the loss that alpha weighs
    prototype_weight: float = setting(1e-7, "[0, inf)", method=("ncl",))
    clusters: int = setting(1000, "[1, inf)", method=("ncl",))  # of users, and of items
    # The centres that compete: "batch" takes those of the batch, doubles included (SELFRec).
    prototypes: str = setting("all", ("all", "batch"), method=("ncl",))
    concentration: str = setting("fixed", ("fixed", "pcl"), method=("ncl",), prototypes=("all",))  # of the centres' t
    warm_up: int = setting(20, "[0, inf)", method=("ncl",))  # epochs without prototypes
    # "batch": the hardest of it; "ranked": mined by the current model; the rest mixes random and mined ones.
    negatives: str = setting("random", NEGATIVES, **MAIN)
    easy: int = setting(10, "[0, inf)", **MAIN, negatives=("blend",))  # random negatives to one that is mined
    margin: float = setting(0.1, "(0, inf)", loss=("triplet",))  # a difference of cosines
    batch: int = setting(2048, "[2, inf)")
    epochs: int = setting(300, "[1, inf)")
    learning_rate: float = setting(1e-3, "(0, inf)")  # Adam, constant
    selection: str = setting("ndcg20", (*LOOKING, "last"))  # the score that chooses the epoch, in validation or test
    every: int = setting(5, "[1, inf)", selection=LOOKING)  # epochs from one look at the score to the next
    patience: int = setting(0, "[0, inf)", selection=LOOKING)  # looks without a better score; 0: trains to the end


@dataclass(frozen=True)
class Count:
    """What needs no training."""

    dataset: str = "lastfm-52k"
    least_rating: float = setting(0.0, "[0, inf)")
    method: str = setting("popularity", ("popularity", "item_knn", "ease"))
    # The one that is best by NDCG@20 in validation is taken.
    ridges: tuple[float, ...] = setting((20.0, 50.0, 100.0, 200.0, 500.0, 1000.0), "(0, inf)", method=("ease",))
