"""Attention heatmaps of one sentence, the teacher's beside the student's."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .sample import HeadSample, LayerSample, Matrix, SampleAttention
from .svg import INK, MUTED, STUDENT, TEACHER, inline_svg, page_style, readable

WIDTH = 9.6
LONGEST_TOKEN = 14


@dataclass(frozen=True, kw_only=True)
class LayerHeatmaps:
    """The pictures of one mapped layer."""

    student_layer: int
    teacher_layer: int
    pictures: tuple[Markup, ...]


def heatmaps(sample: SampleAttention) -> list[LayerHeatmaps]:
    """One picture per sampled head: queries down, keys across, darker is more attention."""
    tokens = [_label(token) for token in sample.tokens]
    with page_style():
        return [
            LayerHeatmaps(
                student_layer=layer.student_layer,
                teacher_layer=layer.teacher_layer,
                pictures=tuple(_head_picture(tokens, layer, head) for head in layer.heads),
            )
            for layer in sample.layers
        ]


def _head_picture(tokens: list[str], layer: LayerSample, head: HeadSample) -> Markup:
    figure = Figure((WIDTH, 5.2))
    sides = figure.subplots(1, 2, sharey=True)
    # One scale for both: the same shade is the same probability.
    largest = max(max(map(max, head.teacher)), max(map(max, head.student)))
    name = "mean of heads" if head.head is None else f"head {head.head}"
    for axes, matrix, colour, title in (
        (sides[0], head.teacher, TEACHER, f"teacher layer {layer.teacher_layer}, {name}"),
        (sides[1], head.student, STUDENT, f"student layer {layer.student_layer}, {name}"),
    ):
        _heatmap(axes, matrix, colour, largest)
        _token_axes(axes, tokens)
        axes.set_title(f"{title}   (darkest {largest:.2f})", color=INK)
    return inline_svg(
        figure,
        f"Attention of {name}: teacher layer {layer.teacher_layer} beside student layer "
        f"{layer.student_layer}, KL {head.kl:.3f} nats",
    )


def _heatmap(axes: Axes, matrix: Matrix, colour: str, largest: float) -> None:
    # From transparent, so that no attention is the page's own background, light or dark.
    shades = LinearSegmentedColormap.from_list("attention", [f"{colour}00", f"{colour}ff"])
    axes.imshow(matrix, cmap=shades, vmin=0, vmax=largest, interpolation="none", aspect="auto")


def _token_axes(axes: Axes, tokens: list[str]) -> None:
    font_size = max(5.0, min(9.0, 240 / len(tokens)))
    positions = range(len(tokens))
    axes.set_xticks(positions, tokens, rotation=90, fontsize=font_size, color=MUTED)
    axes.set_yticks(positions, tokens, fontsize=font_size, color=MUTED)
    axes.grid(visible=False)


def _label(token: str) -> str:
    token = readable(token)
    return token if len(token) <= LONGEST_TOKEN else f"{token[: LONGEST_TOKEN - 1]}…"
