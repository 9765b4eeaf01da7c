import pytest
from bench.rows import row
from rich.console import Console
from targets import Ratios, Target, target_rows, targets_of

from attndistill.bench.results_table import case_rows, print_results


@pytest.mark.parametrize(
    ("at_least", "value", "verdict"),
    [
        (True, 3.0, "reached"),
        (True, 2.9, "missed"),
        (False, 3.0, "reached"),
        (False, 3.1, "missed"),
    ],
)
def test_verdicts(at_least, value, verdict):
    target = Target(claim="", limit=3.0, at_least=at_least, ratio=lambda _: value)
    assert target.verdict(Ratios([])) == (value, verdict)


def test_a_missing_row_is_neither_reached_nor_missed():
    target = Target(claim="", limit=3.0, at_least=True, ratio=lambda _: None)
    assert target.verdict(Ratios([])) == (None, "not measured")


def test_a_ratio_needs_one_row_on_either_side():
    results = Ratios([row("dense", 30.0), row("blockwise", 10.0), row("blockwise", 5.0, length=1)])
    assert results.ratio("dense", "blockwise", {"length": 2048}) == 3.0
    assert results.ratio("dense", "blockwise", {}) is None
    assert results.ratio("dense", "triton", {"length": 2048}) is None
    assert Ratios([row("a", 1.0), row("b", 0.0)]).ratio("a", "b", {}) is None


def test_growth_is_the_worst_doubling():
    peaks = ((1, 1.0), (2, 4.0), (4, 20.0))
    results = Ratios([row("blockwise", mib, length=n, what="memory_mib") for n, mib in peaks])
    assert results.memory_growth("blockwise", {}, (1, 2, 4)) == 5.0
    assert results.memory_growth("blockwise", {}, (1, 2, 8)) is None


def test_time_grows_as_half_the_length_in_the_same_case_says():
    rows = [row("blockwise-half-length", 1.0, length=n) for n in (2048, 4096)]
    rows += [row("blockwise", 4.1, length=2048), row("blockwise", 4.3, length=4096)]
    cells = {claim: (value, verdict) for claim, _, value, verdict in target_rows(rows)}
    claim = "KL fp32: time per doubling of N, worst from 1024 to 8192"
    assert cells[claim] == ("4.3", "missed")


def test_memory_of_maps_that_do_not_fit_grows_with_the_square():
    memory = {"what": "memory_mib"}
    rows = [row("blockwise", 32.0, length=8192, **memory), row("dense", 9.0, length=512, **memory)]
    rows.append(row("dense", 100.0, length=2048, **memory))
    results = Ratios(rows)
    assert results.share_of_dense_memory("blockwise", {"kind": "kl"}, 8192) == 32 / (16 * 100)
    assert results.share_of_dense_memory("blockwise", {"kind": "js"}, 8192) is None


def test_the_worst_ratio_to_flash_counts_long_cases_only():
    cases = [(2048, 64, 9.0), (4096, 64, 1.2), (16384, 128, 1.25)]
    rows = [row("sdpa-flash", 1.0, length=n, head_dim=d) for n, d, _ in cases]
    rows += [row("triton", time, length=n, head_dim=d) for n, d, time in cases]
    assert Ratios(rows).worst_ratio("triton", "sdpa-flash", {"causal": False}, 4096) == 1.25


def test_targets_of_a_run_by_benchmark_and_device():
    cpu = list(target_rows([row("dense", 30.0), row("blockwise", 10.0)]))
    assert ("KL N=2048 fp32: time of dense over blockwise", "≥ 3", "3", "reached") in cpu
    assert {verdict for *_, verdict in cpu} == {"reached", "not measured"}
    gpu = list(
        target_rows(
            [
                row("triton", 1.31, dtype="bfloat16", length=4096, device="cuda: H100"),
                row("sdpa-flash", 1.0, dtype="bfloat16", length=4096, device="cuda: H100"),
            ]
        )
    )
    assert gpu[0][1:] == ("≤ 1.3", "1.31", "missed")
    step = {"benchmark": "step", "length": 1024, "heads": 12}
    steps = [row("attention", 1.0, **step), row("textbook-eager", 2.5, **step)]
    assert ("≥ 2", "2.5", "reached") in [cells[1:] for cells in target_rows(steps)]
    assert targets_of([]) == []


def test_tables_show_ratios_to_the_baseline_of_the_same_case():
    rows = [
        row("blockwise", 10.0, tflops=1.5),
        row("dense", 40.0),
        row("blockwise", 3.0, what="memory_mib"),
        row("dense", 6.0, what="memory_mib"),
        row("blockwise", 99.0, length=64),
    ]
    cells = [line[3:] for line in case_rows(rows)]
    assert cells[0] == ("blockwise", "10 (9–11)", "0.25", "3", "0.50", "1.5")
    assert cells[2][2] == ""
    console = Console(width=100, record=True)
    print_results(rows, console)
    text = console.export_text()
    assert "kl fp32 1×8×2048×64" in text
