import subprocess
import sys

import pytest

from attndistill.bench import losses, resident_memory
from attndistill.bench.cases import Case
from attndistill.bench.measurement import read_csv
from attndistill.cli import main


@pytest.fixture
def tiny_suite(monkeypatch):
    def arrange(*names, kind="kl"):
        case = Case(kind=kind, batch=1, heads=2, length=33, head_dim=8)
        monkeypatch.setattr(losses, "_cpu_quick", lambda: [(case, names)])

    return arrange


def test_a_quick_run_leaves_its_rows_and_says_what_it_found(tiny_suite, tmp_path, capsys):
    tiny_suite("blockwise", "dense", "matrix-products")
    file = tmp_path / "rows.csv"
    command = ["bench", "ops", "--quick", "--device", "cpu", "--output", str(file)]
    assert main([*command, "--commit", "0ld"]) == 0
    with file.open("a", encoding="utf-8") as stream:
        stream.write("cut,off")  # as a killed run leaves it
    assert main([*command, "--commit", "f00"]) == 0
    rows = read_csv(file)
    timed = {row.contender: row for row in rows if row.what == "time_ms"}
    assert set(timed) == {"blockwise", "dense", "matrix-products"}
    assert all(row.q25 <= row.median <= row.q75 and row.runs >= 3 for row in rows)
    assert all(row.median > 0 and row.tflops > 0 for row in timed.values())
    assert {row.contender for row in rows if row.what == "memory_mib"} <= {"blockwise", "dense"}
    assert {row.commit for row in rows} == {"f00"}
    out = capsys.readouterr().out
    assert "[1/1] kl float32 B=1 H=2 N=33 D=8" in out
    assert "× dense" in out


def test_a_contender_that_fails_is_named_and_the_rest_measured(
    tiny_suite, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(resident_memory, "RESET", tmp_path / "not Linux")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    tiny_suite("triton", "dense")
    file = tmp_path / "rows.csv"
    assert main(["bench", "ops", "--quick", "--device", "cpu", "--output", str(file)]) == 1
    assert {row.contender for row in read_csv(file)} == {"dense"}
    out = capsys.readouterr().out
    assert "time of triton, kl float32" in out
    assert "memory is not measured" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "abacus"], "unknown device 'abacus': choose cpu, cuda"),
        (["--only", "dens"], "unknown contender 'dens': choose blockwise"),
        (["--device", "cpu", "--quick", "--only", "sdpa-flash"], "no case on cpu has sdpa-flash"),
    ],
)
def test_wrong_options(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "ops", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["task: classification\n", b"\xff\xfe\x00", "folder"])
def test_only_rows_of_an_earlier_run_are_replaced(content, tiny_suite, tmp_path, capsys):
    tiny_suite("blockwise")
    file = tmp_path / "mine"
    if content == "folder":
        file.mkdir()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = None if file.is_dir() else file.read_bytes()
    assert main(["bench", "ops", "--quick", "--device", "cpu", "--output", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
    assert (None if file.is_dir() else file.read_bytes()) == before


def test_what_is_left_out_is_said_once(monkeypatch):
    huge = [Case(kind=kind, batch=1, heads=8, length=10**6, head_dim=8) for kind in ("kl", "js")]
    monkeypatch.setattr(losses, "_cpu", lambda: [(case, ("blockwise", "dense")) for case in huge])
    said = []
    entries = losses.entries("cpu", quick=False, only=(), say=said.append)
    assert [list(entry.setups) for entry in entries] == [["blockwise"], ["blockwise"]]
    assert len(said) == 1
    assert "dense is not measured at N=1000000" in said[0]


def test_memory_of_losses_is_measured_without_transformers():
    code = (
        "import sys; from attndistill.bench import losses, resident_memory; "
        "sys.exit(bool({'transformers', 'datasets', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
