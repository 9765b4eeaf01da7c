"""Figures of attention: the divergence of every head, and heatmaps of one sentence."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from ..errors import readable
from ..measure.sample import HeadSample, LayerSample, Matrix, SampleAttention
from .formatting import nats
from .schema import RunReport
from .svg import INK, MUTED, OTHER, STUDENT, WIDTH, inline_svg, page_style
from .tables import pair_name

# Inches per token, and around them.
ROW_HEIGHT, MARGIN = 0.125, 0.9
# Colour grows with the square root of probability: attention is mostly small.
GAMMA = 0.5
LONGEST_TOKEN = 14
# More layers than this have their names turned upright.
FEW_LAYERS = 4
# Baked into the image, so in tones that show on a light and on a dark page.
TEACHER_SHADE, STUDENT_SHADE = "#c47a12", "#2f80e4"


def fidelity_plot(report: RunReport) -> Markup | None:
    """KL of every head of every mapped layer, beside that of attention spread evenly."""
    if not report.fidelity:
        return None
    with page_style():
        figure = Figure((WIDTH, 2.5))
        axes = figure.add_subplot()
        for column, layer in enumerate(report.fidelity):
            for offset, values, mean, colour, label in (
                (-0.17, layer.heads, layer.mean, STUDENT, "student"),
                (0.17, layer.uniform, layer.mean_uniform, OTHER, "attention spread evenly"),
            ):
                spread = [
                    column + offset + 0.2 * _spread(n, len(values)) for n in range(len(values))
                ]
                axes.plot(spread, values, "o", color=colour, markersize=3.2, alpha=0.55, mew=0)
                ends = [column + offset - 0.14, column + offset + 0.14]
                name = label if column == 0 else None
                axes.plot(ends, [mean, mean], color=colour, linewidth=2, label=name)
        _name_layers(axes, report)
        axes.set_xlim(-0.6, len(report.fidelity) - 0.4)
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("KL(teacher ‖ ·), nats")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2, borderaxespad=0)
        return inline_svg(figure, "KL divergence of every head of every mapped layer")


def _name_layers(axes: Axes, report: RunReport) -> None:
    """Pairs of layers below the axis; below them their groups, where there are several."""
    names = [f"{layer.student_layer} ← {layer.teacher_layer}" for layer in report.fidelity]
    upright = len(names) > FEW_LAYERS
    axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
    columns: dict[str, list[int]] = {}
    for column, layer in enumerate(report.fidelity):
        columns.setdefault(layer.group, []).append(column)
    if len(columns) == 1:
        axes.set_xlabel("student layer ← teacher layer")
        return
    for group, places in columns.items():
        axes.annotate(
            group.replace(" ", "\n", 1),
            (sum(places) / len(places), 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -36 if upright else -18),
            textcoords="offset points",
            ha="center",
            va="top",
            color=INK,
            fontsize=7.5,
        )
        if places[0]:
            axes.axvline(places[0] - 0.5, color=MUTED, linewidth=0.6)


def _spread(number: int, count: int) -> float:
    return 0.0 if count == 1 else number / (count - 1) - 0.5


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
