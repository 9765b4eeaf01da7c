"""Draw boxes by floor and the arrows between them, as plain SVG text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT, ACROSS, DOWNWARDS, MARGIN = 156, 64, 196, 104, 24
COLOURS = {"trains": "#d9e8fb", "reports": "#dcf1df", "other": "#f1f1f1"}
LEGEND = {
    "trains": "on the way to the kernel",
    "reports": "on the way to the report",
    "other": "beside both",
}


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box.

    Attributes:
        name: its heading.
        caption: two short lines.
        column: where it stands across, in boxes.
        floor: where it stands, from the top.
        kind: its colour, see `LEGEND`.
    """

    name: str
    caption: tuple[str, str]
    column: float
    floor: int
    kind: str

    @property
    def middle(self) -> Point:
        """Its middle, in pixels."""
        x = MARGIN + WIDTH / 2 + self.column * ACROSS
        return x, MARGIN + HEIGHT / 2 + self.floor * DOWNWARDS


def draw_rooms(boxes: Mapping[str, Box], arrows: Sequence[tuple[str, str]]) -> str:
    """The picture as SVG.

    Args:
        boxes: by name.
        arrows: names of the boxes that each goes from and to.
    """
    width = max(box.middle[0] for box in boxes.values()) + WIDTH / 2 + MARGIN
    height = max(box.middle[1] for box in boxes.values()) + HEIGHT / 2 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, sans-serif">',
        "<title>The rooms of attndistill and what they import</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    parts += [_arrow(*ends(boxes[upper], boxes[lower])) for upper, lower in arrows]
    parts += [_box(box) for box in boxes.values()]
    parts += _legend(width, height)
    return "\n".join([*parts, "</svg>", ""])


def ends(upper: Box, lower: Box) -> tuple[Point, Point]:
    """Where an arrow leaves the bottom of one box, and where it meets the top of another."""
    (x, y), (x2, y2) = upper.middle, lower.middle
    lean = max(-1.0, min(1.0, (x2 - x) / (3 * ACROSS))) * WIDTH * 0.4
    return (x + lean, y + HEIGHT / 2), (x2 - lean, y2 - HEIGHT / 2)


def _arrow(start: Point, end: Point) -> str:
    """A line with a head."""
    (x, y), (x2, y2) = start, end
    length = ((x2 - x) ** 2 + (y2 - y) ** 2) ** 0.5
    across, along = (x2 - x) / length, (y2 - y) / length
    back_x, back_y = x2 - 9 * across, y2 - 9 * along
    head = (
        f"{x2:.1f},{y2:.1f} {back_x - 4 * along:.1f},{back_y + 4 * across:.1f} "
        f"{back_x + 4 * along:.1f},{back_y - 4 * across:.1f}"
    )
    return (
        f'<path d="M{x:.1f} {y:.1f}L{back_x:.1f} {back_y:.1f}" stroke="#666666" '
        f'stroke-width="1.5" fill="none"/><polygon points="{head}" fill="#666666"/>'
    )


def _box(box: Box) -> str:
    x, y = box.middle
    first, second = box.caption
    return "\n".join(
        [
            f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="7" fill="{COLOURS[box.kind]}" stroke="#8a8a8a"/>',
            _written(box.name, x, y - 12, size=15, weight="bold"),
            _written(first, x, y + 7),
            _written(second, x, y + 22),
        ]
    )


def _written(text: str, x: float, y: float, *, size: int = 12, weight: str = "normal") -> str:
    """Text around a point."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="#1a1a1a" '
        f'text-anchor="middle">{escape(text)}</text>'
    )


def _legend(width: float, height: float) -> list[str]:
    """What the colours say, in the free corner."""
    parts = []
    for row, (kind, text) in enumerate(LEGEND.items()):
        x, y = width - 240, height - 80 + 24 * row
        parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="20" height="14" rx="3" fill="{COLOURS[kind]}" '
            f'stroke="#8a8a8a"/><text x="{x + 30:g}" y="{y + 12:g}" font-size="13" '
            f'fill="#1a1a1a">{text}</text>'
        )
    return parts
