"""Pages of the docs with parts that are generated, each between markers of its name."""

from collections.abc import Iterable, Sequence


def fill(text: str, name: str, block: str) -> str:
    """The text with what stands between the markers of a name replaced."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}{block}\n{end}{after}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
