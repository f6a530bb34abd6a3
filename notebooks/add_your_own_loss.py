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
# # Try your own loss
#
# Write a contrastive loss as a function, check it in seconds, and put its numbers beside those of ten others on images,
# graphs, sentences and sequences. Nothing is trained in this notebook; one command at its end does that.

# %%
import torch
from IPython.display import SVG, display

import contrastbench
from contrastbench import papers
from contrastbench.evidence import gather
from contrastbench.losses import nt_xent
from contrastbench.report import style

# %% [markdown]
# ## 1. A loss is a function of embeddings
#
# Two views `z_a`, `z_b` of shape [B, D], of any norm; a scalar comes back. This one keeps only the hardest negatives of
# each anchor: a cruder cousin of HCL, which weighs them smoothly.


# %%
def top_negatives(z_a, z_b, *, temperature=0.5, keep=8):
    """NT-Xent against the ``keep`` most similar negatives of each of the 2B anchors; scalar, in nats."""
    z = torch.nn.functional.normalize(torch.cat([z_a, z_b]), dim=1, eps=1e-20)
    similarity = z @ z.T / temperature
    count = len(z_a)
    anchors = torch.arange(2 * count, device=z.device)
    partner = anchors.roll(count)
    positive = similarity[anchors, partner]
    negatives = similarity.clone()
    negatives[anchors, anchors] = negatives[anchors, partner] = -torch.inf
    hardest = negatives.topk(min(keep, 2 * count - 2), dim=1).values
    return (torch.cat([positive[:, None], hardest], dim=1).logsumexp(dim=1) - positive).mean()


# %% [markdown]
# ## 2. Check it
#
# `check_loss` looks for what goes wrong in training: a gradient that does not arrive, a NaN for equal items, a loss
# that is divided by the batch twice. Each failure is named with the smallest input that shows it. In a test of your own
# repository, `assert not (checks["outcome"] == "fails").any()` is all.

# %%
checks = contrastbench.check_loss(top_negatives, temperature=0.5)
on_every_machine = ~checks["check"].isin(["batch of 2 to 4,096", "time and memory"])  # those depend on its speed
display(checks[on_every_machine])
assert not (checks["outcome"] == "fails").any()

# %% [markdown]
# The same of a version with a mistake: it takes the mean twice.

# %%
wrong = contrastbench.check_loss(lambda z_a, z_b: top_negatives(z_a, z_b) / len(z_a))
display(wrong[wrong["outcome"] == "fails"])

# %% [markdown]
# Special cases are the cheapest proof of the value itself: with every negative kept it must be NT-Xent.

# %%
rng = torch.Generator().manual_seed(0)
z_a, z_b = torch.randn(16, 8, generator=rng), torch.randn(16, 8, generator=rng)
everything, few = top_negatives(z_a, z_b, keep=30), top_negatives(z_a, z_b, keep=8)
print(f"NT-Xent {nt_xent(z_a, z_b, temperature=0.5):.6f}, all negatives kept {everything:.6f}, eight kept {few:.6f}")
assert torch.allclose(everything, nt_xent(z_a, z_b, temperature=0.5), atol=1e-5)
assert few < everything

# %% [markdown]
# ## 3. Its rivals
#
# The arena trains the same encoder with each loss, under the same seeds, order and views. These rows come with the
# suite; yours will stand below them.

# %%
rows = contrastbench.results("loss_arena/arena", scale="quick")
metric = {stage: papers.paper("loss_arena").load("tables.METRICS")[stage] for stage in rows["stage"].unique()}
rows["score"] = [row[metric[row["stage"]]] for _, row in rows.iterrows()]
display(rows.pivot_table(index="method", columns="dataset", values="score").round(2))

# %%
with style.styled():
    figure = papers.paper("loss_arena").load("figures.FIGURES")["arena"](gather(papers.paper("loss_arena")).shipped)
    display(SVG(style.svg_bytes(figure)))

# %% [markdown]
# ## 4. Yours among them
#
# Save the function in a file, and
#
# ```bash
# contrastbench try my_loss.py:top_negatives --set temperature=0.2
# ```
#
# checks it, trains with it on every kind of data (minutes on two cores), and prints the table with your line and the
# paired differences to NT-Xent. The file is part of each run's identity: change a line, and it is another loss. Its
# rows show as "yours" in `contrastbench results`, `contrastbench table loss_arena` and the report.
