"""A real summarizer at half its depth: ROUGE by arm beside the lead's first sentence."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from sources import MADE, minilm_encoder_decoder, note_commit, wikipedia, write_splits

from attndistill.cli import main
from attndistill.metrics import assess_summaries, quality_of

ROWS = {"train": 6_000, "validation": 200, "test": 1_000}


def run() -> int:
    """Write the data and the teacher, then run the comparison that a user types."""
    note_commit("summarization")
    articles = wikipedia()
    described = articles[articles["description"].str.strip() != ""]
    write_splits(described[["extract", "description"]], ROWS, MADE / "descriptions")
    settings = ["--set", f"teacher.model={minilm_encoder_decoder()}", "--seeds", "1"]
    for arm in ("task", "task+logits+encoder_attention+decoder_attention"):
        settings += ["--arm", arm]
    code = main(["compare", "benchmarks/real/summarization.yaml", *settings, *sys.argv[1:]])
    if code == 0:
        keep_baseline(Path("runs/summarization"))
    return code


def keep_baseline(folder: Path) -> None:
    """ROUGE of the lead's first sentence, on the same test rows."""
    rows = pd.read_json(MADE / "descriptions" / "test.jsonl", lines=True)
    first = [text.split(". ")[0] for text in rows["extract"]]
    quality = quality_of(assess_summaries(first, list(rows["description"])))
    text = json.dumps(asdict(quality), default=str)
    (folder / "baseline.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run())
