"""Keep the figures of real runs as CSV rows, and write them into docs/real-runs.md.

.venv/bin/python benchmarks/real/record.py [decoder | lora | summarization]
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attndistill.measure.environment import counted

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from marked_pages import fill, markdown  # noqa: E402

MADE = Path("runs/real-data")
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "real-runs.md"
RUNS = {
    "decoder": ["perplexity", "next-token accuracy"],
    "lora": ["accuracy", "trained parameters", "training seconds", "peak memory, MiB"],
    "summarization": ["ROUGE-L", "ROUGE-1", "ROUGE-2"],
}
FIELDS = (
    "arm",
    "seed",
    "metric",
    "value",
    "low",
    "high",
    "test_rows",
    "device",
    "commit",
    "command",
)
Row = dict[str, Any]


def rows_of(run: str) -> list[Row]:
    """The rows of one run's reports."""
    found = _lora_rows() if run == "lora" else _comparison_rows(Path("runs", run))
    return [
        {**dict.fromkeys(FIELDS, ""), **row, "command": f"python benchmarks/real/{run}.py"}
        for row in found
    ]


def _comparison_rows(folder: Path) -> Iterator[Row]:
    report = _read(folder)
    common = _provenance(report, folder.name)
    yield from _quality(report["teacher"]["quality"], {"arm": "teacher", **common})
    baseline = folder / "baseline.json"
    if baseline.is_file():
        yield from _quality(json.loads(baseline.read_text()), {"arm": "first sentence", **common})
    for arm in report["comparison"]["arms"]:
        row = {"arm": arm["name"], "seed": arm["seed"], **common}
        yield from _quality(arm["quality"], row)
    decisive = report["teacher"]["quality"]["deciding"]
    for summary in report["comparison"]["summaries"]:
        if len(summary["seeds"]) > 1:
            row = {"arm": summary["name"], "seed": "mean", **common}
            yield {**row, "metric": decisive, **_interval(summary["score"])}
    for difference in report["comparison"]["differences"]:
        row = {"arm": f"{difference['arm']} minus {difference['other']}", **common}
        row["seed"] = " ".join(map(str, difference["seeds"]))
        yield {**row, "metric": decisive, **_interval(difference["difference"])}


def _lora_rows() -> Iterator[Row]:
    for way in ("full", "adapters"):
        folder = Path("runs/lora", way)
        report = _read(folder)
        common = _provenance(report, "lora")
        if way == "full":
            yield from _quality(report["teacher"]["quality"], {"arm": "teacher", **common})
        row = {"arm": way, "seed": report["seed"], **common}
        yield from _quality(report["student"]["quality"], row)
        process = json.loads((folder / "process.json").read_text(encoding="utf-8"))
        training = report["training"]
        for metric, value in (
            ("trained parameters", training["trained_parameters"]),
            ("training seconds", round(training["seconds"], 1)),
            ("peak memory, MiB", round(process["peak_memory_mib"])),
        ):
            yield {**row, "metric": metric, "value": value}


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _provenance(report: dict[str, Any], run: str) -> Row:
    device = report["environment"]["device"]
    commits = (MADE / f"{run}.commits").read_text(encoding="utf-8").split()
    name = f"{device['name']}, {counted(device['threads'], 'thread')}"
    return {"device": name, "commit": " ".join(commits)}


def _quality(quality: dict[str, Any], row: Row) -> Iterator[Row]:
    for name, metric in quality["metrics"].items():
        figures = _interval(metric["interval"] or {"value": metric["value"]})
        yield {**row, "metric": name, **figures, "test_rows": quality["rows"]}


def _interval(interval: dict[str, float]) -> Row:
    return {end: f"{interval[end]:.6g}" for end in ("value", "low", "high") if end in interval}


def table(run: str, rows: list[dict[str, str]]) -> str:
    """How the rows were made, a line for each arm and seed, then the differences."""
    metrics = RUNS[run]
    differences = [row for row in rows if " minus " in row["arm"]]
    lines = []
    for arm, seed in dict.fromkeys((row["arm"], row["seed"]) for row in rows):
        cells = {
            row["metric"]: _cell(row) for row in rows if (row["arm"], row["seed"]) == (arm, seed)
        }
        if " minus " not in arm:
            lines.append([_spaced(arm), seed, *(cells.get(metric, "") for metric in metrics)])
    text = markdown(["arm", "seed", *metrics], lines)
    for row in differences:
        arms, seeds = _spaced(row["arm"]), _seeds(row["seed"])
        text += f"\n\n{arms}, {row['metric']}: {_cell(row)} ({seeds})."
    first = rows[0]
    return (
        f"`{first['command']}` at commit {first['commit']}, {first['device']}, "
        f"{first['test_rows']} test rows; rows in [real-{run}.csv]"
        f"(../benchmarks/results/real-{run}.csv). Intervals are 95 %.\n\n{text}"
    )


def _seeds(seeds: str) -> str:
    return f"seeds {seeds.replace(' ', ', ')}" if " " in seeds else f"seed {seeds}"


def _spaced(arm: str) -> str:
    return arm.replace("+", " + ").replace("_", " ")


def _cell(row: dict[str, str]) -> str:
    value = _number(row["value"])
    return f"{value} ({_number(row['low'])} to {_number(row['high'])})" if row["low"] else value


def _number(text: str) -> str:
    value = float(text)
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return number.replace("-", "−")


def page() -> str:
    """The page with the table of every run that is kept."""
    text = PAGE.read_text(encoding="utf-8")
    for run in RUNS:
        file = RESULTS / f"real-{run}.csv"
        block = "No run is kept yet."
        if file.is_file():
            with file.open(encoding="utf-8") as rows:
                block = table(run, list(csv.DictReader(rows)))
        text = fill(text, run, block)
    return text


def main() -> None:
    """Write the CSV files of the runs named, then the page."""
    if unknown := set(sys.argv[1:]) - set(RUNS):
        sys.exit(f"no such run: {', '.join(sorted(unknown))}; choose {', '.join(RUNS)}")
    for run in sys.argv[1:]:
        rows = rows_of(run)
        with (RESULTS / f"real-{run}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
