import draw
from bench.rows import row


def test_pages_hold_what_the_committed_rows_say():
    for path, text in draw.pages(draw.read_results()).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: make docs"


def test_a_page_shows_rows_targets_and_provenance():
    rows = [row("blockwise", 10.0), row("dense", 40.0)]
    block = draw.page_block("ops-cpu", rows)
    assert "commit abc123" in block
    assert "| blockwise | 10 (9–11) | 0.25 |" in block
    assert "| ≥ 3 | 4 | reached |" in block
    assert draw.fill("a\n<!-- begin x -->\nold\n<!-- end x -->\nb", "x", "new") == (
        "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb"
    )


def test_figures_are_drawn_for_every_contender(tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "FIGURES", tmp_path)
    rows = [
        row(name, 5.0 * length, length=length)
        for name in ("blockwise", "dense")
        for length in (512, 1024)
    ]
    draw.draw("kl-time", rows)
    text = (tmp_path / "bench-kl-time.svg").read_text(encoding="utf-8")
    assert "attndistill" in text
    assert "dense autograd" in text
