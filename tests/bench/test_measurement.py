import pytest

from attndistill.bench.cases import Case
from attndistill.bench.measurement import append_csv, read_csv, summarise
from attndistill.bench.provenance import Stamp, stamp
from attndistill.errors import InputError

STAMP = Stamp(commit="abc", date="2026-01-02", device="cpu: x, 2 threads", torch="2", command="c")


def summary(values, **changes):
    case = Case(kind="kl", batch=3, heads=5, length=7, head_dim=11, causal=True)
    wanted = {"benchmark": "ops", "contender": "dense", "what": "time_ms", "products": 4}
    return summarise(values, stamp=STAMP, case=case, **wanted | changes)


def test_median_quartiles_and_tflops():
    row = summary([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (row.q25, row.median, row.q75, row.runs) == (2.0, 3.0, 4.0, 5)
    operations = 4 * (2 * 3 * 5 * 7 * 7 * 11) / 2
    assert row.tflops == pytest.approx(operations / 3e-3 / 1e12, rel=1e-2)
    assert (row.batch, row.heads, row.length, row.head_dim, row.causal) == (3, 5, 7, 11, True)


def test_memory_has_no_tflops():
    assert summary([1.0], what="memory_mib").tflops is None
    assert summary([1.0], products=None).tflops is None


def test_csv_round_trip(tmp_path):
    rows = [summary([1.0, 2.0, 4.0]), summary([7.5], what="memory_mib", products=None)]
    file = tmp_path / "folder" / "rows.csv"
    append_csv(file, rows[:1])
    append_csv(file, rows[1:])
    assert read_csv(file) == rows


def test_another_csv_is_refused(tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="must have the columns commit.*it has a, b"):
        read_csv(file)


def test_stamp_names_the_device_and_keeps_a_given_commit():
    made = stamp("cpu", "attndistill bench ops", "f00")
    assert made.commit == "f00"
    assert made.device.startswith("cpu: ")
    assert stamp("cpu", "").commit


@pytest.mark.parametrize(("threads", "words"), [(1, ", 1 thread"), (3, ", 3 threads")])
def test_stamp_counts_threads(threads, words, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    assert stamp("cpu", "").device.endswith(words)
