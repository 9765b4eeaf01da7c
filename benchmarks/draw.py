"""Draw the benchmarks' figures and write their tables into the docs, from the committed CSV files.

.venv/bin/python benchmarks/draw.py
"""

from collections.abc import Sequence
from pathlib import Path

from marked_pages import fill, markdown
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
from targets import TARGET_COLUMNS, target_rows

from attndistill.bench.measurement import MEMORY, TIME, Measurement, read_csv
from attndistill.bench.results_table import COLUMNS, case_rows

ROOT = Path(__file__).parents[1]
RESULTS, FIGURES = ROOT / "benchmarks" / "results", ROOT / "docs" / "figures"
PAGE, README = ROOT / "docs" / "benchmarks.md", ROOT / "README.md"
RUNS = ("ops-cpu", "step-cpu", "ops-cuda")

# Colour, marker and name of each contender: ours blue, the textbook's warm, yardsticks grey.
STYLES = {
    "blockwise": ("#0a5ab5", "o", "attndistill"),
    "attention": ("#0a5ab5", "o", "with attention (attndistill)"),
    "triton": ("#0a5ab5", "o", "attndistill, Triton"),
    "blockwise-uncompiled": ("#5b9bd9", "o", "attndistill, no C++ compiler"),
    "dense": ("#a03c00", "s", "dense autograd"),
    "textbook-eager": ("#a03c00", "s", "output_attentions, eager"),
    "dense-compiled": ("#d98a00", "D", "dense, torch.compile"),
    "textbrewer": ("#8a5a00", "^", "TextBrewer"),
    "matrix-products": ("#777777", "x", "four matrix products alone"),
    "sdpa-flash": ("#777777", "x", "SDPA flash attention"),
    "logits-only": ("#777777", "x", "logits only"),
}
BLOCKWISE_BESIDE_TRITON = ("#5b9bd9", "v", "attndistill, blockwise")
UNITS = {TIME: "ms", MEMORY: "peak MiB"}
# What each figure shows: the run, the quantity and the cases.
KL = {"kind": "kl", "head_dim": 64, "causal": False}
PLOTS = {
    "kl-time": ("ops-cpu", TIME, {**KL, "dtype": "float32"}, "KL, forward and backward"),
    "kl-memory": ("ops-cpu", MEMORY, {**KL, "dtype": "float32"}, "KL, forward and backward"),
    "score-mse-time": (
        "ops-cpu",
        TIME,
        {**KL, "kind": "score_mse", "dtype": "float32"},
        "raw-score MSE, forward and backward",
    ),
    "step-time": ("step-cpu", TIME, {}, "training step, 12 → 6 layers"),
    "step-memory": ("step-cpu", MEMORY, {}, "training step, 12 → 6 layers"),
    "kl-time-gpu": ("ops-cuda", TIME, {**KL, "dtype": "bfloat16"}, "KL, forward and backward"),
    "kl-memory-gpu": ("ops-cuda", MEMORY, {**KL, "dtype": "bfloat16"}, "KL, forward and backward"),
}
README_PLOTS = ("kl-time", "kl-memory")


def draw(name: str, rows: Sequence[Measurement]) -> None:
    """One quantity against N, a line for each contender, with its quartiles."""
    run, what, wanted, title = PLOTS[name]
    shown = [
        row
        for row in rows
        if row.what == what
        and row.contender in STYLES
        and all(getattr(row, key) == value for key, value in wanted.items())
    ]
    on_gpu = run.endswith("cuda")
    with rc_context({"font.size": 9, "svg.hashsalt": "attndistill"}):
        figure = Figure((5.2, 3.9), layout="constrained")
        axes = figure.add_subplot()
        for contender in dict.fromkeys(row.contender for row in shown):
            colour, marker, label = STYLES[contender]
            if on_gpu and contender == "blockwise":
                colour, marker, label = BLOCKWISE_BESIDE_TRITON
            line = sorted((r for r in shown if r.contender == contender), key=lambda r: r.length)
            lengths = [row.length for row in line]
            medians = [row.median for row in line]
            axes.plot(lengths, medians, color=colour, marker=marker, markersize=5, label=label)
            low, high = ([getattr(row, quartile) for row in line] for quartile in ("q25", "q75"))
            axes.fill_between(lengths, low, high, color=colour, alpha=0.2, linewidth=0)
        ticks = sorted({row.length for row in shown})
        axes.set_xscale("log", base=2)
        if run.startswith("step"):
            axes.set_ylim(bottom=0)
        else:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=30)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.set_xlabel("N, tokens")
        axes.set_ylabel(UNITS[what])
        axes.set_title(f"{title} ({_short_device(rows)})", fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        FIGURES.mkdir(parents=True, exist_ok=True)
        figure.savefig(FIGURES / f"bench-{name}.svg", metadata={"Date": None}, facecolor="white")


def page_block(run: str, rows: Sequence[Measurement]) -> str:
    """The generated part of the docs for one run."""
    if not rows:
        return "No results of this run are kept yet."
    first = rows[0]
    made = dict.fromkeys(f"`{row.command}` at commit {row.commit}" for row in rows)
    caption = (
        f"{'; '.join(made)}, on {first.device}, torch {first.torch}, {first.date}; rows in "
        f"[{run}.csv](../benchmarks/results/{run}.csv)."
    )
    pictures = [
        f"![{title}: {UNITS[what]} against N](figures/bench-{name}.svg)"
        for name, (of_run, what, _, title) in PLOTS.items()
        if of_run == run
    ]
    return "\n\n".join(
        [
            caption,
            markdown(TARGET_COLUMNS, target_rows(rows)),
            *pictures,
            markdown(COLUMNS, case_rows(rows)),
        ]
    )


def readme_block(rows: Sequence[Measurement]) -> str:
    """The README's figures."""
    if not rows:
        return ""
    pictures = [
        f"![{PLOTS[name][3]}: {UNITS[PLOTS[name][1]]} against N](docs/figures/bench-{name}.svg)"
        for name in README_PLOTS
    ]
    return "\n".join(pictures)


def pages(results: dict[str, list[Measurement]]) -> dict[Path, str]:
    """The files with generated parts, as they should be."""
    page = PAGE.read_text(encoding="utf-8")
    for run, rows in results.items():
        page = fill(page, run, page_block(run, rows))
    readme = README.read_text(encoding="utf-8")
    return {PAGE: page, README: fill(readme, "bench", readme_block(results["ops-cpu"]))}


def read_results() -> dict[str, list[Measurement]]:
    """The committed rows of every run; none where a run has not been kept."""
    files = {run: RESULTS / f"{run}.csv" for run in RUNS}
    return {run: read_csv(file) if file.exists() else [] for run, file in files.items()}


def _short_device(rows: Sequence[Measurement]) -> str:
    return rows[0].device.split(": ", 1)[1]


def main() -> None:
    """Draw every figure whose run is kept, and write the tables."""
    results = read_results()
    for name, (run, *_) in PLOTS.items():
        if results[run]:
            draw(name, results[run])
    for path, text in pages(results).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
