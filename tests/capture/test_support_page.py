"""The committed page of supported models is the table that the tests hold."""

from pathlib import Path

from capture.families import FAMILIES, REFUSED

PAGE = Path(__file__).parents[2] / "docs" / "support.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose heading starts so."""
    lines = PAGE.read_text(encoding="utf-8").split(heading)[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def test_the_page_lists_every_family_as_it_is_tested():
    listed = rows("| family | class checked |")
    assert [row[:2] for row in listed] == [
        [family.name, f"`{family.model.__name__}`"] for family in FAMILIES
    ]
    for row, family in zip(listed, FAMILIES, strict=True):
        assert row[6] == ", ".join(family.implementations)
        assert float(row[7]) <= 1e-6


def test_the_page_lists_what_is_refused():
    assert [row[0] for row in rows("| family | reason |")] == list(REFUSED)
