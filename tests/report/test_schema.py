import json
import math
import os

import pytest

from attndistill.errors import InputError
from attndistill.report import RunReport, TrainingSection, write_report


def test_reads_back_as_written(report, tmp_path):
    write_report(report, tmp_path)
    again = RunReport.read(tmp_path)
    assert again.to_json() == report.to_json()
    assert again.teacher == report.teacher
    assert again.student == report.student
    assert again.comparison == report.comparison
    assert again.fidelity == report.fidelity
    assert again.sample == report.sample
    assert again.environment == report.environment
    assert RunReport.read(tmp_path / "report.json").to_json() == report.to_json()


def test_is_strict_json_and_the_schema_comes_first(report):
    def refuse(constant):
        raise AssertionError(constant)

    plain = json.loads(report.to_json(), parse_constant=refuse)
    assert next(iter(plain)) == "schema_version"
    assert plain["training"]["history"][2]["eval_loss"] == "nan"
    again = RunReport.from_json(report.to_json())
    assert math.isnan(again.training.history[2]["eval_loss"])


def test_matrices_take_a_line_a_row(report):
    row = json.dumps(list(report.sample.layers[0].heads[0].teacher[0]))[1:-1]
    assert f"[ {row} ]" in report.to_json()


def test_a_string_that_looks_like_a_list_stays(changed):
    odd = changed(notes=("[\n 1,\n 2 ]", "[ 1,  2 ]"))
    assert RunReport.from_json(odd.to_json()).notes == odd.notes


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_report_is_refused(report, tmp_path, kept):
    text = report.to_json()
    (tmp_path / "report.json").write_text(text[: int(kept * len(text))], encoding="utf-8")
    with pytest.raises(InputError, match=r"report\.json is not a whole JSON file"):
        RunReport.read(tmp_path)


@pytest.mark.parametrize("version", [1, "2", None, 1.5])
def test_another_schema_version_is_refused(report, version):
    plain = json.loads(report.to_json()) | {"schema_version": version}
    with pytest.raises(InputError, match="schema_version"):
        RunReport.from_json(json.dumps(plain))


def test_what_is_no_report_is_refused():
    with pytest.raises(InputError, match="has no schema_version"):
        RunReport.from_json("[]")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda plain: plain.pop("seed"), r"report\.seed is missing"),
        (lambda plain: plain.update(extra=1), r"unknown key report\.extra"),
        (lambda plain: plain.update(seed="3"), r"report\.seed must be a whole number, not '3'"),
        (lambda plain: plain.update(seed=True), r"report\.seed must be a whole number, not True"),
        (
            lambda plain: plain["layer_map"]["encoder self-attention"].append([1]),
            r"encoder self-attention\[2\] must have 2 items",
        ),
        (
            lambda plain: plain["student"]["quality"]["ratio"].update(low="x"),
            r"report\.student\.quality\.ratio\.low must be a number",
        ),
        (
            lambda plain: plain["student"]["cost"]["energy"].update(source="guessed"),
            r"cost\.energy\.source is 'guessed'; choose measured, estimated",
        ),
    ],
)
def test_an_edited_report_is_refused_with_the_place(report, edit, message):
    plain = json.loads(report.to_json())
    edit(plain)
    with pytest.raises(InputError, match=message):
        RunReport.from_json(json.dumps(plain))


def test_a_missing_report_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        RunReport.read(tmp_path)


def test_a_failed_write_leaves_the_old_report(report, changed, tmp_path, monkeypatch):
    write_report(report, tmp_path)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        write_report(changed(seed=99), tmp_path)
    assert RunReport.read(tmp_path).seed == report.seed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_the_json_is_written_last(report, tmp_path, monkeypatch):
    """Where report.json is, the run counts as finished."""
    written = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(b.name), replace(a, b)))
    write_report(report, tmp_path / "new" / "folder")
    assert written == ["report.html", "report.json"]


def test_characters_that_utf8_has_not_do_not_stop_the_report(changed, tmp_path):
    write_report(changed(notes=("a\ud800b", "日本")), tmp_path)
    assert RunReport.read(tmp_path).notes == ("a?b", "日本")


def test_little_is_enough(changed):
    bare = changed(
        fidelity=(), sample=None, notes=(), training=TrainingSection(seconds=1.0, steps=2)
    )
    assert RunReport.from_json(bare.to_json()) == bare
