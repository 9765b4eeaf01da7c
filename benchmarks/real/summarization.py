"""A real summarizer at half its depth: ROUGE by arm beside the lead's first sentence."""

import sys

from sources import MADE, minilm_encoder_decoder, wikipedia, write_splits

from attndistill.cli import main

ROWS = {"train": 6_000, "validation": 200, "test": 1_000}


def run() -> int:
    """Write the data and the teacher, then run the comparison that a user types."""
    articles = wikipedia()
    described = articles[articles["description"].str.strip() != ""]
    write_splits(described[["extract", "description"]], ROWS, MADE / "descriptions")
    settings = ["--set", f"teacher.model={minilm_encoder_decoder()}", "--seeds", "1"]
    for arm in ("task", "task+logits+encoder_attention+decoder_attention"):
        settings += ["--arm", arm]
    return main(["compare", "benchmarks/real/summarization.yaml", *settings, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(run())
