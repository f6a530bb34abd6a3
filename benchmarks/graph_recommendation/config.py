"""Every setting of one run. No torch here: planning reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Train:
    """A recommender trained on pairs. Defaults are LightGCN's (LightGCN-PyTorch, SGL-Torch, SELFRec)."""

    dataset: str = "lastfm-52k"
    least_rating: float = 0.0  # pairs with a lower rating are left out
    method: str = "lightgcn"  # "sgl", "simgcl", "xsimgcl" or "ncl" (NCL-rec): which contrast stands beside the main loss
    loss: str = "bpr"  # the main loss; "triplet" (EBR), "integrated" (one loss: the pair among the batch) or "none"
    similarity: str = "dot"  # of a user and an item in the test; or "cosine"
    width: int = 64
    layers: int = 3  # 0 is matrix factorisation
    readout: str = "mean"  # of E_0 to E_L; "sum" (SSLRec) or "no_ego", the mean of E_1 to E_L (SimGCL, XSimGCL)
    start: str = "xavier"  # uniform; "normal" (sd 0.1), or "pretrain": the embeddings of the run needed by this name
    trained: str = "embeddings"  # or "map": the embeddings stay, a linear map of them is trained
    drawn: str = "pairs"  # a batch is drawn from the pairs; "users": from the users, then an item of the user
    keep: float = 1.0  # share of the directed edges that a training step keeps, anew at each step (SSLRec)
    penalty: str = "ego"  # reg/2 * squares of the batch's rows of E_0 / B; others in losses.py
    reg: float = 1e-4
    weight: float = 0.1  # of the contrastive loss
    temperature: float = 0.2
    contrast: str = "info_nce"  # or "dcl", "hcl", "bcl"
    tau_plus: float = 0.0  # class prior: dcl, hcl, bcl
    beta: float = 0.0  # hardness: hcl from 0 on, bcl in [0.5, 1]
    alpha: float = 0.6  # bcl: the encoder's AUC
    against: str = "batch"  # a node's rivals: the unique nodes of the batch; or "all" nodes
    reduction: str = "mean"  # over the batch; or "sum": times the batch size
    operator: str = "edge"  # sgl: "edge", "node", "walk" (edge dropout for each layer) or "none"
    drop: float = 0.1  # sgl: share of edges or nodes that a view loses
    redrawn: str = "epoch"  # sgl: when views are drawn anew; or "step"
    third_view: bool = False  # sgl: the negative items are contrasted too (SSLRec)
    eps: float = 0.1  # simgcl, xsimgcl: length of the noise
    contrast_layer: int = 1  # xsimgcl: l*, whose output is contrasted with the final one
    structure_layer: int = 2  # ncl: whose output is contrasted with E_0
    item_weight: float = 1.0  # ncl: alpha, of the items' part
    prototype_weight: float = 1e-7
    clusters: int = 1000  # ncl: of users, and of items
    prototypes: str = "all"  # ncl: the centres that compete; "batch": those of the batch, doubles included (SELFRec)
    alpha_on: str = "structure"  # ncl: the loss whose items ``item_weight`` weighs; or "both" (the paper)
    concentration: str = "fixed"  # ncl: the prototypes' temperature; or "pcl": each cluster's spread
    warm_up: int = 20  # ncl: epochs without prototypes
    negatives: str = "random"  # "batch": the hardest of it; "ranked": mined; "blend", "random_first", "ranked_first"
    easy: int = 10  # blend: random negatives to one that is mined
    margin: float = 0.1  # triplet, a difference of cosines
    batch: int = 2048
    epochs: int = 300
    learning_rate: float = 1e-3  # Adam, constant
    selection: str = "ndcg20"  # the validation score; "recall10", "test_ndcg20" (chosen on the test), or "last"
    every: int = 5  # epochs between two looks at the score
    patience: int = 0  # looks without a better score; 0: never stops early


@dataclass(frozen=True)
class Count:
    """What needs no training."""

    dataset: str = "lastfm-52k"
    least_rating: float = 0.0
    method: str = "popularity"  # "item_knn" or "ease"
    ridges: tuple[float, ...] = (20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)  # ease: the best in validation is taken
