"""The notebooks run from top to bottom on the committed rows, train nothing, and are committed as they come out."""

import importlib.util
import re
from pathlib import Path

import matplotlib
import nbformat
import pytest
from PIL import Image

from contrastbench import papers
from contrastbench.evidence import gather

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))

spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["add_your_own_loss", "beta_and_k", "rerun_a_table"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_is_committed_with_what_comes_out(path):
    made, committed = make.executed(path), nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(committed)
    outputs = [output for cell in made.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("data" in output for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs), outputs
    same_maker = f"matplotlib {matplotlib.__version__}" in str(committed)  # else its pictures have other strokes
    assert shown(made, same_maker) == shown(committed, same_maker), (
        "notebooks/*.ipynb are stale: python docs/make.py makes them"
    )
    assert path.with_suffix(".ipynb").stat().st_size < 400_000


def shown(notebook, pictures):
    """The sources with the outputs as text; numbers to four digits, since the last depend on the machine."""
    parts = []
    for cell in notebook.cells:
        texts = []
        for output in cell.get("outputs", ()):  # printed lines come in as many pieces as the kernel likes
            data = output.get("data", {"text/plain": output.get("text", "")})
            texts += [text for kind, text in sorted(data.items()) if pictures or kind != "image/svg+xml"]
        parts += [cell.source, re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4g}", "".join(texts))]
    return parts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_trains_nothing(path):
    assert not re.search(r"optim|train\(|subprocess|os\.system|!contrastbench", path.read_text())


def test_the_picture_of_the_report_was_made_from_the_rows_that_are_shipped():
    picture = Image.open(ROOT / "docs" / "report.png")
    everything = [gather(papers.paper(name)) for name in papers.names()]
    assert picture.text["Source"] == make.source_of(everything), (
        "docs/report.png is stale: python docs/make.py makes it"
    )
    assert picture.size == make.SIZE
