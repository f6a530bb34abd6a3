#!/usr/bin/env python3
"""Makes what is committed for readers and takes a kernel or a browser: notebooks/*.ipynb and docs/report.png.

    .venv/bin/pip install -e ".[notebooks]"
    .venv/bin/python docs/make.py              # after rows, notebooks/*.py or the page have changed

`contrastbench collect --into results` makes the rest: tables, figures and READMEs.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from contrastbench import papers
from contrastbench.drawing import write_page
from contrastbench.evidence import Evidence, gather
from contrastbench.runner.rows import rows_digest

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1280, 900)  # of the picture, in pixels: what a reader sees first


def main() -> None:
    for source in sorted((ROOT / "notebooks").glob("*.py")):
        nbformat.write(executed(source), source.with_suffix(".ipynb"))
    take_picture(ROOT / "docs" / "report.png")


def executed(source: Path) -> NotebookNode:
    """The notebook with its outputs; the same for the same source, rows and packages."""
    notebook = jupytext.read(source)
    options = {"timeout": 300, "kernel_name": "python3", "record_timing": False}
    NotebookClient(notebook, resources={"metadata": {"path": str(ROOT)}}, **options).execute()
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return nbformat.from_dict(notebook)


def take_picture(path: Path) -> None:
    """A picture of the report's first screen; it names the digest of the rows that the report shows."""
    shown = [gather(papers.paper(name)) for name in papers.names()]
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder, "index.html"), Path(folder, "report.png")
        write_page(shown, page)
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
        places = (f"--user-data-dir={folder}/profile", f"--screenshot={picture}", f"--window-size={SIZE[0]},{SIZE[1]}")
        subprocess.run([find_browser(), *flags, *places, page.as_uri()], check=True, capture_output=True)
        information = PngInfo()
        information.add_text("Source", source_of(shown))
        Image.open(picture).convert("P", palette=Image.Palette.ADAPTIVE).save(path, pnginfo=information, optimize=True)


def find_browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((place for name in names if (place := shutil.which(name))), None)
    if found is None:
        raise SystemExit(f"docs/report.png needs a browser in PATH: one of {', '.join(names)}")
    return found


def source_of(shown: list[Evidence]) -> str:
    """What the picture is made from: the digest of every shipped row."""
    return rows_digest(row for evidence in shown for row in evidence.shipped)


if __name__ == "__main__":
    main()
