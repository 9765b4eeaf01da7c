"""A real decoder at a third of its depth: perplexity by arm at equal steps, over two seeds."""

import sys

from sources import MADE, note_commit, smollm, wikipedia, write_splits

from attndistill.cli import main

ROWS = {"train": 2_000, "validation": 64, "test": 400}


def run() -> int:
    """Write the data and the teacher, then run the comparison that a user types."""
    note_commit("decoder")
    write_splits(wikipedia()[["extract"]], ROWS, MADE / "leads")
    settings = ["--set", f"teacher.model={smollm()}"]
    return main(["compare", "benchmarks/real/decoder.yaml", "--seeds", "2", *settings])


if __name__ == "__main__":
    sys.exit(run())
