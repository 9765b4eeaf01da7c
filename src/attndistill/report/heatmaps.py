"""Attention heatmaps of one sentence, the teacher's beside the student's."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from ..errors import readable
from ..measure.sample import HeadSample, LayerSample, Matrix, SampleAttention
from .formatting import nats
from .svg import MUTED, inline_svg, page_style
from .tables import pair_name

WIDTH = 7.2
# Inches per token, and around them.
ROW_HEIGHT, MARGIN = 0.125, 0.9
# Colour grows with the square root of probability: attention is mostly small.
GAMMA = 0.5
LONGEST_TOKEN = 14
# Baked into the image, so in tones that show on a light and on a dark page.
TEACHER_SHADE, STUDENT_SHADE = "#c47a12", "#2f80e4"


@dataclass(frozen=True, kw_only=True)
class LayerHeatmaps:
    """The pictures of one mapped layer, each with its caption."""

    name: str
    pictures: tuple[tuple[Markup, str], ...]


def heatmaps(sample: SampleAttention) -> list[LayerHeatmaps]:
    """One picture per sampled head: queries down, keys across, more attention in more colour."""
    several = len({layer.group for layer in sample.layers}) > 1
    with page_style():
        return [
            LayerHeatmaps(
                name=pair_name(layer, several=several),
                pictures=tuple(_head_picture(layer, head) for head in layer.heads),
            )
            for layer in sample.layers
        ]


def _head_picture(layer: LayerSample, head: HeadSample) -> tuple[Markup, str]:
    figure = Figure((WIDTH, MARGIN + ROW_HEIGHT * max(8, len(layer.queries))))
    sides = figure.subplots(1, 2, sharey=True)
    # One scale for both: the same shade is the same probability.
    largest = max(max(map(max, matrix)) for matrix in (head.teacher, head.student))
    for axes, matrix, colour, title in (
        (sides[0], head.teacher, TEACHER_SHADE, f"teacher layer {layer.teacher_layer}"),
        (sides[1], head.student, STUDENT_SHADE, f"student layer {layer.student_layer}"),
    ):
        _heatmap(axes, matrix, colour, largest)
        _token_axes(axes, layer)
        axes.set_title(title)
    name = "Mean of all heads" if head.head is None else f"Head {head.head}"
    caption = (
        f"{name}: KL(teacher ‖ student) {nats(head.kl)} nats on this sentence; the strongest "
        f"colour is a probability of {largest:.2f}."
    )
    return inline_svg(figure, f"Attention of teacher and student. {caption}"), caption


def _heatmap(axes: Axes, matrix: Matrix, colour: str, largest: float) -> None:
    # From transparent, so that no attention is the page's own background, light or dark.
    shades = LinearSegmentedColormap.from_list("attention", [f"{colour}00", f"{colour}ff"])
    scale = PowerNorm(GAMMA, vmin=0, vmax=largest)
    axes.imshow(matrix, cmap=shades, norm=scale, interpolation="none", aspect="auto")


def _token_axes(axes: Axes, layer: LayerSample) -> None:
    keys, queries = ([_label(token) for token in side] for side in (layer.keys, layer.queries))
    font_size = max(4.5, min(7.0, 200 / max(len(keys), len(queries))))
    axes.set_xticks(range(len(keys)), keys, rotation=90, fontsize=font_size, color=MUTED)
    axes.set_yticks(range(len(queries)), queries, fontsize=font_size, color=MUTED)
    axes.grid(visible=False)


def _label(token: str) -> str:
    token = readable(token)
    return token if len(token) <= LONGEST_TOKEN else f"{token[: LONGEST_TOKEN - 1]}…"
