"""Keep the demo's arms as CSV rows, and draw the README's figure from that file.

make demo && .venv/bin/python benchmarks/demo_figure.py runs/demo
"""

import csv
import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from attndistill.bench.provenance import source_commit

CSV = Path("benchmarks/results/demo.csv")
FIGURE = Path("docs/figures/demo.svg")


def rows_of(run: Path) -> list[dict[str, object]]:
    """Teacher and arms of a run's report: accuracy with its 95 % interval, costs, provenance."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    common = {"device": report["environment"]["device"]["name"], "commit": source_commit()}
    common |= {"command": "make demo", "test_rows": report["teacher"]["quality"]["rows"]}
    models = [("teacher", "", report["teacher"], report["teacher"]["cost"])]
    cost = report["student"]["cost"]
    models += [(arm["name"], arm["seed"], arm, cost) for arm in report["comparison"]["arms"]]
    return [
        {
            "arm": name,
            "seed": seed,
            "accuracy": round(accuracy(model)["value"], 4),
            "low": round(accuracy(model)["low"], 4),
            "high": round(accuracy(model)["high"], 4),
            **_kept(model),
            "parameters": costs["parameters"]["total"],
            "layer_flops": costs["flops"]["layers"],
            "latency_batch1_ms": round(costs["latency"][0]["median_ms"], 2),
            "latency_batch32_ms": round(costs["latency"][1]["median_ms"], 2),
            **common,
        }
        for name, seed, model, costs in models
    ]


def accuracy(model: dict) -> dict[str, float]:
    """Value and 95 % interval."""
    return model["quality"]["metrics"]["accuracy"]["interval"]


def _kept(model: dict) -> dict[str, object]:
    """The share of the teacher's accuracy with its 95 % interval; empty for the teacher."""
    share = model["quality"]["ratio"]
    if share is None:
        return dict.fromkeys(("kept", "kept_low", "kept_high"), "")
    value, low, high = (round(share[end], 4) for end in ("value", "low", "high"))
    return {"kept": value, "kept_low": low, "kept_high": high}


def draw(rows: list[dict[str, str]]) -> None:
    """Accuracy of teacher and arms with 95 % intervals."""
    # Narrow, so that its text is still 12 pixels high on a page 500 pixels wide.
    figure = Figure((5.4, 2.6), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        value, low, high = (100 * float(row[name]) for name in ("accuracy", "low", "high"))
        colour = "#8a5a00" if row["arm"] == "teacher" else "#0a5ab5"
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", color=colour)
        axes.annotate(
            f"{value:.1f}", (value, place), (0, 6), textcoords="offset points", ha="center"
        )
    axes.set_yticks(range(len(rows)), [_two_lines(row["arm"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(f"accuracy on {int(rows[0]['test_rows']):,} test rows, % (95 % interval)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None}, facecolor="white")


def _two_lines(arm: str) -> str:
    """The arm's terms, the last of three on a line of its own."""
    return " + ".join(arm.split("+")).replace(" + attention", "\n+ attention")


def main() -> None:
    """Write the CSV from the run given, if any; draw the figure from the CSV."""
    if len(sys.argv) > 1:
        rows = rows_of(Path(sys.argv[1]))
        CSV.parent.mkdir(parents=True, exist_ok=True)
        with CSV.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    with CSV.open(encoding="utf-8") as file:
        draw(list(csv.DictReader(file)))


if __name__ == "__main__":
    main()
