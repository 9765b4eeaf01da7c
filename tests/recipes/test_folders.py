"""Folders that hold something already: what is used again, what is refused, what is passed over."""

import json
import shutil

import pytest
from recipes.workplace import Killed, kill_at, only_error

from attndistill.cli import main
from attndistill.recipes import running as main_path

DIVERGING = {"learning_rate": 1e20, "max_grad_norm": 0}
EVERY_STEP = {"eval_strategy": "steps", "eval_steps": 1, "save_total_limit": 9}


def report_of(workplace):
    return json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))


def test_a_run_that_diverged_is_corrected_in_its_folder(capsys, workplace):
    recipe = workplace.recipe
    good, recipe["training"] = recipe["training"], recipe["training"] | DIVERGING
    assert main(["run", str(workplace.write(recipe))]) == 1
    assert "the student diverged" in capsys.readouterr().err
    diverged = workplace.own / "run" / "checkpoints" / "checkpoint-6"
    assert (diverged / "model.safetensors").is_file()
    (workplace.own / "run" / "note.txt").write_text("mine")
    recipe["training"] = good
    file = str(workplace.write(recipe))
    assert main(["run", file]) == 2
    assert "holds a run of another recipe" in only_error(capsys)
    (workplace.own / "run" / "note.txt").unlink()
    mark = workplace.own / "run" / "failed.txt"
    reason = mark.read_text(encoding="utf-8")
    assert "the student diverged" in reason
    mark.unlink()  # as while a run is still going
    assert main(["run", file]) == 2
    assert "holds a run of another recipe" in only_error(capsys)
    mark.write_text(reason, encoding="utf-8")
    assert main(["doctor", file]) == 0
    assert diverged.is_dir()
    assert main(["run", file]) == 0
    assert report_of(workplace)["recipe"]["training"]["learning_rate"] == pytest.approx(5e-5)
    assert not mark.exists()


def test_checkpoints_of_another_recipe_are_kept_and_the_message_names_the_way(capsys, workplace):
    recipe = workplace.recipe
    recipe["training"] |= EVERY_STEP
    with kill_at(3, Killed()):
        assert main(["run", str(workplace.write(recipe))]) == 1
    capsys.readouterr()
    recipe["training"]["learning_rate"] = 1e-3
    file = str(workplace.write(recipe))
    assert main(["run", file]) == 2
    error = only_error(capsys)
    folder = workplace.own / "run"
    assert "training.learning_rate is 5e-05 there, 0.001 here" in error
    assert f"delete that run with `rm -r {folder}`" in error
    assert (folder / "checkpoints" / "checkpoint-2").is_dir()
    shutil.rmtree(folder)
    assert main(["run", file]) == 0


def test_a_recipe_that_a_user_wrote_is_not_overwritten(capsys, workplace):
    folder = workplace.own / "run"
    folder.mkdir()
    file = workplace.write(workplace.recipe, "run/recipe.yaml")
    before = file.read_text()
    assert main(["run", str(file)]) == 2
    assert "holds a run of another recipe" in only_error(capsys)
    assert file.read_text() == before


@pytest.mark.parametrize("garbled", [b"{", b"- 1", b"\xff\xfe"])
def test_a_garbled_recipe_in_the_folder_is_named(capsys, workplace, garbled):
    folder = workplace.own / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_bytes(garbled)
    assert main(["run", str(workplace.write(workplace.recipe)), "--resume"]) == 2
    error = only_error(capsys)
    assert f"the output folder {folder} holds a run whose recipe cannot be read" in error
    assert f"delete that run with `rm -r {folder}`" in error
    assert (folder / "recipe.yaml").read_bytes() == garbled


def test_an_arm_whose_student_is_broken_is_trained_again(capsys, workplace):
    recipe = workplace.recipe | {"objective": {"task": {}, "logits": {}}}
    command = ["compare", str(workplace.write(recipe)), "--seeds", "1"]
    assert main(command) == 0
    arm = workplace.own / "run" / "arms" / "task" / "seed-42"
    weights = (arm / "student" / "model.safetensors").read_bytes()
    (arm / "student" / "model.safetensors").write_bytes(weights[:-10])
    (workplace.own / "run" / "report.html").unlink()
    capsys.readouterr()
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.count("Its student cannot be loaded") == 1
    assert out.count("Finished before") == 2
    assert (arm / "student" / "model.safetensors").read_bytes() == weights
    assert (workplace.own / "run" / "report.html").is_file()


def test_a_folder_name_that_is_too_long_is_refused(capsys, workplace):
    recipe = workplace.recipe | {"output_dir": str(workplace.own / ("x" * 300))}
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert "cannot be written (File name too long)" in only_error(capsys)


def test_a_student_folder_with_other_files_is_left_alone(capsys, workplace):
    thesis = workplace.own / "run" / "student" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    assert main(["run", str(workplace.write(workplace.recipe))]) == 2
    assert "is not replaced: it has files and no config.json" in only_error(capsys)
    assert thesis.read_text() == "mine"


def test_a_garbled_report_is_written_anew(capsys, workplace):
    file = str(workplace.write(workplace.recipe))
    assert main(["run", file]) == 0
    report = workplace.own / "run" / "report.json"
    whole = json.loads(report.read_text(encoding="utf-8"))
    for garbled in (b"", b"{", b"[]", b"{}", b"\xff"):
        report.write_bytes(garbled)
        capsys.readouterr()
        assert main(["report", str(report.parent)]) == 2
        assert str(report) in only_error(capsys)
        assert main(["run", file]) == 2
        assert "an unfinished run of this recipe: continue it with --resume" in only_error(capsys)
    report.write_text('{"schema_version": 1}')
    assert main(["run", file, "--resume"]) == 2
    assert "read it with the version that wrote it" in only_error(capsys)
    report.unlink()
    assert main(["run", file, "--resume"]) == 0
    assert "Resumed from checkpoint-6" in capsys.readouterr().out
    assert report_of(workplace)["student"]["quality"] == whole["student"]["quality"]


def test_broken_checkpoints_are_passed_over_and_files_in_their_place_refused(capsys, workplace):
    recipe = workplace.recipe
    recipe["training"] |= EVERY_STEP
    file = str(workplace.write(recipe))
    with kill_at(4, Killed()):
        assert main(["run", file]) == 1
    checkpoints = workplace.own / "run" / "checkpoints"
    (checkpoints / "checkpoint-3" / "trainer_state.json").write_text("{}")
    (checkpoints / "checkpoint-5").write_text("no folder")
    capsys.readouterr()
    assert main(["run", file, "--resume"]) == 2
    assert "its checkpoints/checkpoint-5 is not a folder" in only_error(capsys)
    (checkpoints / "checkpoint-5").unlink()
    assert main(["run", file, "--resume"]) == 0
    out = capsys.readouterr().out
    assert "checkpoint-3 is incomplete" in out
    assert "Resumed from checkpoint-2" in out


def test_a_run_stops_early_and_stays_stopped_when_resumed(capsys, workplace, monkeypatch):
    recipe = workplace.recipe
    recipe["training"] |= {
        "num_train_epochs": 6,
        "learning_rate": 1e-9,
        "load_best_model_at_end": True,
        "early_stopping_patience": 2,
    }
    file = str(workplace.write(recipe))

    def fails(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(main_path, "measure", fails)
        assert main(["run", file]) == 1
    capsys.readouterr()
    assert main(["run", file, "--resume"]) == 0
    assert "Training stopped after 18 of 36 steps: no better accuracy" in capsys.readouterr().out
    report = report_of(workplace)
    assert report["training"]["steps"] == 18
    assert report["recipe"]["training"]["early_stopping_patience"] == 2
    resolved = workplace.own / "run" / "recipe.yaml"
    assert main(["run", str(resolved), "--resume"]) == 0
    assert "Finished before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"early_stopping_patience": 2}, "needs load_best_model_at_end: true"),
        ({"early_stopping_patience": 0}, "early_stopping_patience must be above 0, not 0"),
        ({"early_stopping_patience": None}, "must be a whole number, not None"),
        (
            {"early_stopping_threshold": 0, "load_best_model_at_end": True},
            "needs early_stopping_patience as well",
        ),
        ({"early_stoping_patience": 2}, "did you mean 'early_stopping_patience'"),
    ],
)
def test_early_stopping_is_checked(capsys, workplace, settings, message):
    recipe = workplace.recipe
    recipe["training"] |= settings
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert message in only_error(capsys)
