# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What do beta and k do?
#
# Two ablations over the whole suite, drawn from the rows that come with it; nothing is trained here.
#
# * **beta** is the hardness of HCL's negatives: 0 weighs them all alike (then HCL is DCL), large values leave only
#   those closest to the anchor.
# * **k** is two things: the number of neighbours that NCL takes for positives in novel class discovery, and the
#   number of noise samples per word in noise-contrastive estimation.

# %%
from IPython.display import SVG, Markdown, display

import contrastbench
from contrastbench import papers
from contrastbench.drawing import summary_figures
from contrastbench.evidence import gather
from contrastbench.report import style
from contrastbench.report.curves import ablation
from contrastbench.report.tables import markdown, sheet


def show(figure):
    display(SVG(style.svg_bytes(figure)))


everything = {name: gather(papers.paper(name)) for name in papers.names()}
figures = summary_figures(everything)

# %% [markdown]
# ## beta on images, graphs and sentences
#
# Every point is a gain over the baseline, in pairs by seed: the same seed gives two methods the same first weights,
# order and splits. All points of a line have the same seeds. Bars are 95 % intervals, pale dots are seeds. Where some
# data sets are pooled, the point is the mean over them.

# %%
show(figures["beta"])

# %% [markdown]
# One of these tables in full, with the means of all seeds. The sentences below it are the gains over beta = 0.

# %%
table = next(table for table in everything["hard_negatives"].measured if table.name == "beta")
display(Markdown(markdown(sheet(table, "long", places=("shipped",)))))

# %% [markdown]
# On graphs, data set by data set, in the paper's loss and in its code's:

# %%
tables = everything["graph_contrastive"].measured
show(ablation(next(table for table in tables if table.name == "beta" and table.scale == "paper"), "beta"))

# %% [markdown]
# The rows themselves are a pandas table, one line a run, with a column for each setting and each metric.

# %%
rows = contrastbench.results(
    "graph_contrastive/beta", dataset="MUTAG", scale="paper", settings={"method": "hard"}, origin="shipped"
)
rows.groupby(["config.variant", "config.beta"])["test_svm_accuracy_percent"].agg(["mean", "std", "count"])

# %% [markdown]
# ## k: neighbours in novel class discovery, noise samples in NCE
#
# The dotted line is the k that NCL's paper takes, |M| / C / 2: half the size of a class in its queue. NCE claims that
# its gradient approaches maximum likelihood's as k grows; the angle between the two is drawn.

# %%
show(figures["k"])

# %%
rows = contrastbench.results("loss_studies/nce_gradient", scale="paper", origin="shipped")
for k, degrees in rows.groupby("config.samples")["angle_degrees"]:
    print(f"k = {k:5.0f}: the gradient is {degrees.mean():6.2f} degrees off maximum likelihood's")
