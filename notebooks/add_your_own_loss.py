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
# # Add your own loss and see it in the table
#
# Three steps: write the loss as a pure function, check it against what you know, and put its numbers beside the others.
# Nothing is trained here; the last step shows the table as it will look, with the rows that come with the suite.

# %%
import dataclasses

import torch
from IPython.display import Markdown, display

from contrastbench import papers
from contrastbench.evidence import gather
from contrastbench.losses import hcl, nt_xent
from contrastbench.report.tables import markdown, sheet
from contrastbench.verdicts.cells import join

# %% [markdown]
# ## 1. A loss is a function of embeddings
#
# Two views `z_a`, `z_b` of shape [B, D], of any norm; a scalar comes back. This one keeps only the hardest negatives of
# each anchor: a cruder cousin of HCL, which weighs them smoothly.


# %%
def top_negatives(z_a, z_b, *, temperature=0.5, keep=8):
    """NT-Xent against the ``keep`` most similar negatives of each of the 2B anchors; scalar, in nats."""
    z = torch.nn.functional.normalize(torch.cat([z_a, z_b]), dim=1)
    similarity = z @ z.T / temperature
    count = len(z_a)
    anchors = torch.arange(2 * count)
    partner = anchors.roll(count)
    positive = similarity[anchors, partner]
    negatives = similarity.clone()
    negatives[anchors, anchors] = negatives[anchors, partner] = -torch.inf
    hardest = negatives.topk(min(keep, 2 * count - 2), dim=1).values
    return (torch.cat([positive[:, None], hardest], dim=1).logsumexp(dim=1) - positive).mean()


# %% [markdown]
# ## 2. Special cases are the cheapest proof
#
# With every negative kept it must be NT-Xent; with fewer it can only be smaller; its gradient must be finite.

# %%
rng = torch.Generator().manual_seed(0)
z_a, z_b = torch.randn(16, 8, generator=rng, requires_grad=True), torch.randn(16, 8, generator=rng)
everything = top_negatives(z_a, z_b, keep=30)
few = top_negatives(z_a, z_b, keep=8)
print(f"NT-Xent {nt_xent(z_a, z_b, temperature=0.5):.6f}, all negatives kept {everything:.6f}, eight kept {few:.6f}")
print(f"HCL     {hcl(z_a, z_b, temperature=0.5, tau_plus=0.1, beta=1.0):.6f}")
assert torch.allclose(everything, nt_xent(z_a, z_b, temperature=0.5), atol=1e-5)
assert few < everything
few.backward()
assert z_a.grad.isfinite().all()

# %% [markdown]
# ## 3. A row of the table
#
# In `benchmarks/hard_negatives` a method is a value of `Config.loss` that `train.py` turns into a function, and a cell
# of `tables.py` that names the runs. Add both (the README's "Add a paper in one page" shows each file in full), then
#
# ```bash
# contrastbench run hard_negatives/main --scale quick     # starts only what is missing: yours
# contrastbench table hard_negatives/main --scale quick
# ```
#
# Until its runs are done, your method stands in the table as what it is: not run.

# %%
paper = papers.paper("hard_negatives")
shipped = gather(paper).shipped
cells = paper.cells("main", "quick")
hcl_cells = [cell for cell in cells if cell.method == "HCL"]
mine = [
    dataclasses.replace(
        cell,
        method="top negatives",
        runs=tuple(
            dataclasses.replace(
                run, method="top negatives", config=dataclasses.replace(run.config, loss="top_negatives")
            )
            for run in cell.runs
        ),
    )
    for cell in hcl_cells
]
declared = {"main": paper.tables["main"]}
(table,) = join(paper.name, declared, {"main": [*cells, *mine]}, rows_here=[], rows_shipped=shipped)
display(Markdown(markdown(sheet(table, "grid", places=("shipped",)))))

# %% [markdown]
# The runs' keys are hashes of paper, config and seed: your method gets new ones and touches no other row.

# %%
print("HCL, seed 0: ", hcl_cells[0].runs[0].key[:16])
print("yours, seed 0:", mine[0].runs[0].key[:16])
assert hcl_cells[0].runs[0].key != mine[0].runs[0].key
