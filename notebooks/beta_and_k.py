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
# Two ablations, drawn from the rows that come with the suite; nothing is trained here.
#
# * **beta** is the hardness of HCL's negatives: 0 weighs them all alike (then HCL is DCL), large values leave only
#   those closest to the anchor.
# * **k** is the number of noise samples per word in noise-contrastive estimation: NCE claims that its gradient
#   approaches maximum likelihood's as k grows.

# %%
from IPython.display import SVG, Markdown, display

import contrastbench
from contrastbench import papers
from contrastbench.evidence import gather
from contrastbench.report import style
from contrastbench.report.curves import ablation, curve
from contrastbench.report.tables import markdown, sheet


def show(figure):
    display(SVG(style.svg_bytes(figure)))


# %% [markdown]
# ## beta on images
#
# The line is the mean over seeds, the band its 95 % interval, every point one seed; published numbers, where there are
# any at this scale, are open diamonds.

# %%
images = gather(papers.paper("hard_negatives"))
table = next(table for table in images.measured if table.name == "beta")
show(ablation(table, "beta"))

# %%
display(Markdown(markdown(sheet(table, "long", places=("shipped",)))))

# %% [markdown]
# The sentences below the table are the test: differences in pairs (same seed, same split). With three seeds no
# difference can be significant, however large, and the table says so.
#
# ## beta on graphs, in the paper's loss and in its code's

# %%
graphs = gather(papers.paper("graph_contrastive"))
table = next(table for table in graphs.measured if table.name == "beta" and table.scale == "paper")
show(ablation(table, "beta"))

# %% [markdown]
# The rows themselves are a pandas table, one line a run, with a column for each setting and each metric.

# %%
rows = contrastbench.results(
    "graph_contrastive/beta", dataset="MUTAG", scale="paper", settings={"method": "hard"}, origin="shipped"
)
rows.groupby(["config.variant", "config.beta"])["test_svm_accuracy_percent"].agg(["mean", "std", "count"])

# %% [markdown]
# ## k in noise-contrastive estimation
#
# Any metric can be drawn over any number in the config: this is what `contrastbench plot loss_studies/nce_gradient --x
# samples --y angle_degrees` does.

# %%
rows = contrastbench.results("loss_studies/nce_gradient", scale="paper", origin="shipped")
angles = rows.groupby("config.samples")["angle_degrees"].agg(list)
show(curve({"noise_gradient": angles.to_dict()}, "samples", "angle_degrees"))

# %%
for k, degrees in angles.items():
    print(f"k = {k:5.0f}: the gradient is {sum(degrees) / len(degrees):6.2f} degrees off maximum likelihood's")
