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
# # Rerun a table and read its verdict
#
# This notebook trains nothing. It reads the rows that come with the suite (`results/<paper>/rows.jsonl`), joins them
# with the paper's published numbers and shows how a verdict is made. To fill the table from your own machine, run
#
# ```bash
# contrastbench run graph_contrastive/main/MUTAG --scale paper
# contrastbench table graph_contrastive/main --scale paper
# ```

# %%
from IPython.display import Markdown, display

from contrastbench import papers
from contrastbench.evidence import gather
from contrastbench.report.tables import markdown, sheet
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.verdict import verdict

paper = papers.paper("graph_contrastive")
evidence = gather(paper)
print(f"{paper.title}: {len(evidence.shipped)} shipped rows")

# %% [markdown]
# A paper has tables; a table was measured at one scale or several, and rows of two scales never meet. `paper` scale is
# the published protocol: only there a cell is judged against the printed number.

# %%
for table in evidence.measured:
    measured = sum(bool(cell.shipped.done) for cell in table.cells)
    print(f"{table.name:10} {table.scale:6} {measured:3} of {len(table.cells):3} cells measured")

# %% [markdown]
# The main table, as the paper lays it out: published, shipped, and the verdict.

# %%
table = next(table for table in evidence.measured if table.name == "main" and table.scale == "paper")
display(Markdown(markdown(sheet(table, "grid", places=("shipped",)))))

# %% [markdown]
# ## One cell, in full
#
# Every cell knows its seeds, the command that fills it, and why its verdict is what it is.

# %%
cell = next(cell for cell in table.cells if cell.shipped.done and cell.judged)
print(cell.name, "-", cell.metric)
print("seeds:     ", {seed: round(value, 2) for seed, value in cell.shipped.by_seed.items()})
print("interval:  ", cell.shipped.interval)
print("published: ", cell.judged.value, "±", cell.judged.spread, "over", cell.judged.spread_kind or "nothing printed")
print("verdict:   ", cell.verdict.kind, "-", cell.verdict.reason)
print("command:   ", f'contrastbench run "{cell.paper}/{cell.table}/{cell.name}" --scale {cell.scale}')

# %% [markdown]
# ## What would change the verdict
#
# The verdict is a pure function of the seeds and the published number. The same seeds against other printed numbers:

# %%
values = cell.shipped.values
for offset in (0.0, 1.0, 3.0, 10.0):
    printed = Published("", "", "", cell.metric, cell.shipped.summary.mean + offset, margin=1.0)
    said = verdict(values, printed)
    print(f"published {offset:+5.1f} from our mean: {said.kind:12} {said.reason}")

# %% [markdown]
# How often such a verdict errs is simulated in `contrastbench/verdicts/README.md`.
