"""One look for every figure: a fixed colour and marker per method everywhere, and files that are the same to the byte.

The colours are Okabe and Ito's and Paul Tol's, chosen to stay apart for colour-blind readers; markers differ
too, so that no figure needs colour to be read.
"""

import hashlib
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from contrastbench.runner import files

INK = "#24292f"  # text; the HTML page replaces it by its own text colour
GRID = "#d7dce1"

PALETTE = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"),
    *("#882255", "#999933", "#44AA99", "#AA4499", "#6B6ECF", "#8C6D31"),
)
MARKERS = ("o", "s", "^", "v", "P", "X", "<", ">", "h", "p", "*")  # the diamond is for published numbers


class Look(NamedTuple):
    colour: str
    marker: str


# The methods that many papers print; any other name gets its look from its letters, the same one everywhere.
KNOWN = {
    "Untrained": Look("#7A7A7A", "o"),
    "Raw pixels": Look("#A0A0A0", "s"),
    "Supervised": Look("#24292F", "*"),
    "SimCLR": Look(PALETTE[0], "o"),
    "DCL": Look(PALETTE[1], "s"),
    "HCL": Look(PALETTE[3], "^"),
    "BCL": Look(PALETTE[2], "v"),
    "MoCo": Look(PALETTE[5], "P"),
    "InfoGraph": Look(PALETTE[0], "o"),
    "GraphCL": Look(PALETTE[4], "v"),
    "SimCSE": Look(PALETTE[0], "o"),
    "SupCon": Look(PALETTE[6], "P"),
}
_KNOWN_LOWER = {name.lower(): look for name, look in KNOWN.items()}


_MARKS = re.compile(r" \((as_paper|as_code|published|clean)(, (published|clean))?\)")


def look(method: str) -> Look:
    """The colour and marker of a method: that of the longest known name it starts with, else one from its letters."""
    method = _MARKS.sub("", method).split(",")[0]  # variant, protocol and settings change no colour
    words = method.lower().replace("_", " ").split()
    for count in range(len(words), 0, -1):
        if found := _KNOWN_LOWER.get(" ".join(words[:count])):
            return found
    digest = hashlib.sha256(method.encode()).digest()
    return Look(PALETTE[digest[0] % len(PALETTE)], MARKERS[digest[1] % len(MARKERS)])


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The looks of one figure's methods: variants of one method have shades of its colour, and markers of their own."""
    chosen: dict[str, Look] = {}
    for method in dict.fromkeys(methods):
        colour, marker = look(method)
        taken = [each.marker for other, each in chosen.items() if look(other).colour == colour]
        if taken:
            marker = next((free for free in (marker, *MARKERS) if free not in taken), marker)
        chosen[method] = Look(_shade(colour, len(taken)), marker)
    return chosen


SHADES = (0.0, 0.45, -0.35, 0.7, -0.6, 0.25, -0.2)  # towards white, or towards black


def _shade(colour: str, number: int) -> str:
    """The colour itself, then lighter and darker ones; after seven they come again."""
    towards = SHADES[number % len(SHADES)]
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    mixed = [part + (255 - part) * towards if towards > 0 else part * (1 + towards) for part in parts]
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


SETTINGS: dict[str, Any] = {
    **{"figure.dpi": 100, "figure.constrained_layout.use": True, "figure.facecolor": "white"},
    **{"axes.facecolor": "white", "savefig.facecolor": "white", "savefig.edgecolor": "none"},
    **{"font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"},
    **{"axes.titleweight": "bold", "axes.labelsize": 9, "legend.fontsize": 8, "legend.frameon": False},
    **{"text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": INK},
    **{"xtick.color": INK, "ytick.color": INK, "xtick.labelsize": 8, "ytick.labelsize": 8},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7},
    **{"axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True},
    **{"xtick.major.width": 0.7, "ytick.major.width": 0.7, "lines.linewidth": 1.6, "lines.markersize": 5},
    **{"svg.hashsalt": "contrastbench", "svg.fonttype": "none", "pdf.fonttype": 42},
}


def new_figure(width: float = 6.4, height: float = 3.8, **options: Any) -> tuple[Figure, Any]:
    """A figure in our style with its axes (inches); ``options`` go to ``Figure.subplots``. Draw inside ``styled()``."""
    with styled():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(**options)


def new_panels(
    count: int, widest: int, size: Callable[[int, int], tuple[float, float]], **options: Any
) -> tuple[Figure, Sequence[Any]]:
    """A figure of ``count`` panels, ``widest`` in a line at most; ``size`` gives its inches from columns and lines."""
    columns = min(count, widest)
    lines = math.ceil(count / columns)
    figure, axes = new_figure(*size(columns, lines), nrows=lines, ncols=columns, squeeze=False, **options)
    for spare in axes.flat[count:]:
        spare.set_visible(False)
    return figure, axes.flat[:count]


def styled() -> Any:
    """The context in which figures are made and written: ``with styled(): ...``."""
    settings: Any = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")
    }
    return matplotlib.rc_context(settings | SETTINGS)


# A hundredth of a point is finer than any screen: further digits only make files large.
_PLACES = re.compile(rb' (?:d|x|y|transform)="[^"]*"')
_DIGITS = re.compile(rb"(\.\d\d)\d+")


def creator() -> str:
    """What a figure names as its maker: strokes depend on matplotlib's version."""
    return f"matplotlib {matplotlib.__version__}"


def _written(figure: Figure, canvas: Callable[[Figure], Any], **options: Any) -> bytes:
    out = io.BytesIO()
    with styled():
        canvas(figure)
        if layout := figure.get_layout_engine():  # left to savefig, it draws every figure twice
            layout.execute(figure)
            with matplotlib.rc_context({"figure.constrained_layout.use": False}):  # else None means that layout again
                figure.set_layout_engine(None)
        figure.savefig(out, **options)
    return out.getvalue()


def svg_bytes(figure: Figure, source: str = "") -> bytes:
    """The figure as SVG, the same bytes for the same figure (no date, no random ids).

    Args:
        source: what it was made from, e.g. the digest of the rows; written into its metadata.
    """
    information = {"Date": None, "Creator": creator(), "Source": source or None}
    written = _written(figure, FigureCanvasSVG, format="svg", metadata=information)
    short = _PLACES.sub(lambda match: _DIGITS.sub(rb"\1", match[0]), written)
    return b"\n".join(line.rstrip() for line in short.splitlines()) + b"\n"


def save(figure: Figure, path: Path, source: str = "") -> Path:
    """Writes the figure, whole or not at all: the same bytes for the same figure, in the format that the ending names.

    A PNG has 200 dots an inch, on white.

    Args:
        source: as in ``svg_bytes``.

    Raises:
        ValueError: the ending is not .svg, .pdf or .png.
    """
    if path.suffix == ".svg":
        content = svg_bytes(figure, source)
    elif path.suffix == ".pdf":
        information = {"CreationDate": None, "Creator": None, "Producer": None, "Subject": source or None}
        content = _written(figure, FigureCanvasPdf, format="pdf", metadata=information)
    elif path.suffix == ".png":
        information = {"Software": None, "Source": source or None}
        content = _written(figure, FigureCanvasAgg, format="png", dpi=200, facecolor="white", metadata=information)
    else:
        raise ValueError(f"a figure's file must end in .svg or .pdf or .png, got {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, content)
    return path
