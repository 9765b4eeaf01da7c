"""Matplotlib figures as inline SVG that takes its colours and font from the page."""

import io
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

# Drawn in these colours, which become the page's CSS variables: dark mode needs no second figure.
INK, MUTED, GRID = "#1a1b01", "#6b6c02", "#d9da03"
TEACHER, STUDENT, OTHER = "#8a5a04", "#0a5ab5", "#7a7b06"
CSS_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    TEACHER: "var(--teacher)",
    STUDENT: "var(--student)",
    OTHER: "var(--other)",
}
# Inches of every figure; the page scales them.
WIDTH = 7.2
STYLE: Any = {
    # Tokens and names are not formulas, whatever they look like.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "attndistill",
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw and save figures within this context."""
    with rc_context(STYLE):
        yield


def inline_svg(figure: Figure, description: str) -> Markup:
    """The figure as an ``<svg>`` element without a size, a namespace or an outside reference.

    Args:
        figure: drawn under `page_style`.
        description: what it shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Matplotlib's font lacks many scripts; the browser's fonts draw the text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    # Of the content: a report drawn again is the same, and only equal figures share their ids.
    prefix = f"figure-{sha256(buffer.getvalue().encode()).hexdigest()[:12]}-"
    for element in root.iter():
        for child in list(element):
            if child.tag.endswith(("}metadata", "}style")):
                element.remove(child)
        element.tag = _without_namespace(element.tag)
        attributes = {_without_namespace(name): value for name, value in element.attrib.items()}
        element.attrib = {name: _value(name, value, prefix) for name, value in attributes.items()}
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _without_namespace(name: str) -> str:
    return name.rpartition("}")[2]


def _value(name: str, value: str, prefix: str) -> str:
    """An attribute with ids that no other figure of the page has, and the page's colours."""
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    if name == "style":
        for colour, variable in CSS_VARIABLES.items():
            value = value.replace(colour, variable)
    return value.replace("url(#", f"url(#{prefix}")
