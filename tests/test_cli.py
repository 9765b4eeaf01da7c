import json
import shutil
import subprocess
import sys
import time

import pytest
import torch
import yaml
from recipes.workplace import Killed, Workplace, furnish, kill_at, only_error, write_csv
from safetensors.torch import load_file

from attndistill import cli
from attndistill.cli import main


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("workplace"))


@pytest.fixture
def workplace(shared, tmp_path):
    return Workplace(shared=shared, own=tmp_path)


def test_help_is_quick_and_light():
    code = "import sys\nfrom attndistill.cli import main\nmain(['--help'])\n"
    code += "sys.exit(bool({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert time.perf_counter() - start < 5
    for command in ("run", "doctor", "compare", "recipes", "init", "report"):
        assert command in done.stdout


def test_exit_codes_of_the_process(tmp_path):
    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "attndistill", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    assert call("recipes") == (0, "")
    code, error = call("run", "nowhere.yaml")
    assert code == 2
    assert error.startswith("attndistill: there is no recipe file nowhere.yaml")
    code, error = call("run", "nowhere.yaml", "--fast")
    assert code == 2
    assert "--fast" in error


@pytest.mark.parametrize("arguments", [["--nonsense"], ["rnu"], ["run"], ["run", "--sett", "a=b"]])
def test_a_wrong_command_line_exits_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_recipes_are_listed_and_printed(capsys):
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert [line.split(":")[0] for line in listed.splitlines()] == [
        "bart-summarization",
        "bert-classification",
        "bert-classification-small",
        "bert-lora",
        "gpt-lm",
        "llama-lora",
        "vit-classification",
    ]
    assert main(["recipes", "bert-clasification"]) == 2
    assert "did you mean 'bert-classification'" in only_error(capsys)


def test_the_starter_runs_on_the_users_files(capsys, workplace):
    file, shared = workplace.own / "mine.yaml", workplace.shared
    options = {
        "--teacher": shared / "classifier",
        "--train": shared / "train.csv",
        "--test": shared / "test.csv",
        "--text": "review",
    }
    arguments = ["init", str(file), *(str(part) for pair in options.items() for part in pair)]
    assert main(arguments) == 0
    assert "attndistill doctor" in capsys.readouterr().out
    settings = ["--set", "student.keep_layers=[1, 3]", "--set", "data.max_length=16"]
    output = ["--output-dir", str(workplace.own / "run")]
    assert main(["doctor", str(file), *settings, *output]) == 0
    out = capsys.readouterr().out
    assert out.endswith("ready\n")
    assert "The student's layers take 50.0% of the teacher's FLOPs" in out
    assert "10 of the 96 training rows were set aside" in out
    assert not (workplace.own / "run").exists()
    assert main(arguments) == 2
    assert "is not overwritten" in only_error(capsys)
    assert main(["init", str(workplace.own / "new.yaml"), "--task", "translation"]) == 2
    assert "choose classification" in only_error(capsys)


def test_an_output_folder_with_something_else_is_left_alone(capsys, workplace):
    folder = workplace.own / "run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    file = workplace.write(workplace.recipe)
    assert main(["run", str(file)]) == 2
    assert "holds files that are not a run" in only_error(capsys)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    (folder / "thesis.txt").rename(workplace.own / "thesis.txt")
    assert main(["run", str(file), "--set", "data.test=nowhere.csv"]) == 2
    capsys.readouterr()
    (folder / "student").write_text("in the way")
    assert main(["run", str(file)]) == 2
    assert "its student is not a folder" in only_error(capsys)
    (folder / "student").unlink()
    (folder / "recipe.yaml").write_text("seed: 1\n")
    assert main(["run", str(file), "--resume"]) == 2
    assert "holds a run of another recipe" in only_error(capsys)


def test_a_killed_run_resumes_to_the_same_student(capsys, workplace):
    recipe = workplace.recipe
    recipe["training"] |= {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 5}
    whole = workplace.write(recipe | {"output_dir": str(workplace.own / "whole")}, "whole.yaml")
    assert main(["run", str(whole)]) == 0
    file = workplace.write(recipe)
    with kill_at(8, Killed("power cut")):
        assert main(["run", str(file)]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert captured.err.strip().endswith("failed while running: Killed: power cut")
    assert main(["run", str(file)]) == 2
    assert "--resume" in only_error(capsys)
    broken = workplace.own / "run" / "checkpoints" / "checkpoint-99"
    shutil.copytree(workplace.own / "run" / "checkpoints" / "checkpoint-5", broken)
    (broken / "optimizer.pt").write_bytes(b"cut off")
    assert main(["run", str(file), "--resume"]) == 0
    out = capsys.readouterr().out
    assert "checkpoint-99 is incomplete" in out
    assert "Resumed from checkpoint-5" in out
    weights = [
        load_file(workplace.own / name / "student" / "model.safetensors")
        for name in ("run", "whole")
    ]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    assert main(["run", str(file), "--resume"]) == 0
    assert "Finished before" in capsys.readouterr().out


def test_a_recipe_that_proved_wrong_is_corrected_in_its_folder(capsys, workplace):
    file = workplace.write(workplace.recipe)
    assert main(["run", str(file), "--set", "data.columns.label=lable"]) == 2
    assert "did you mean 'label'" in only_error(capsys)
    assert main(["run", str(file)]) == 0
    shutil.rmtree(workplace.own / "run" / "student")
    assert main(["run", str(file)]) == 2
    assert "an unfinished run" in capsys.readouterr().err
    assert main(["run", str(file), "--resume"]) == 0
    assert (workplace.own / "run" / "student" / "model.safetensors").is_file()


def test_a_run_that_diverged_fails_and_saves_nothing(capsys, workplace):
    recipe = workplace.recipe
    recipe["training"] |= {"learning_rate": 1e20, "max_grad_norm": 0, "eval_strategy": "no"}
    assert main(["run", str(workplace.write(recipe))]) == 1
    captured = capsys.readouterr()
    assert "the student diverged" in captured.err
    assert "Traceback" not in captured.err
    assert not (workplace.own / "run" / "student").exists()


def test_ctrl_c_says_how_to_go_on(capsys, workplace):
    with kill_at(2, KeyboardInterrupt()):
        assert main(["run", str(workplace.write(workplace.recipe))]) == 130
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("attndistill: interrupted")
    assert "--resume" in error


def test_the_resolved_recipe_runs_again(capsys, workplace):
    file = workplace.write(workplace.recipe)
    assert main(["run", str(file), "--set", "student.keep_layers=[2]"]) == 0
    resolved, again = workplace.own / "run" / "recipe.yaml", workplace.own / "again"
    assert main(["run", str(resolved), "--output-dir", str(again)]) == 0
    first, second = (
        yaml.safe_load((folder / "recipe.yaml").read_text())
        for folder in (workplace.own / "run", again)
    )
    assert first.pop("output_dir") != second.pop("output_dir")
    assert first == second
    weights = [
        load_file(folder / "student" / "model.safetensors")
        for folder in (workplace.own / "run", again)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    capsys.readouterr()
    assert main(["report", str(workplace.own / "run"), str(again)]) == 0
    assert "Side by side" in capsys.readouterr().out
    assert main(["report", str(workplace.own)]) == 2
    assert "report.json" in only_error(capsys)


def test_compare_runs_every_arm_and_seed_once(capsys, workplace):
    recipe = workplace.recipe
    recipe["objective"] = {"task": {}, "logits": {}}
    file = workplace.write(recipe)
    assert main(["compare", str(file), "--seeds", "0"]) == 2
    capsys.readouterr()
    assert main(["compare", str(file), "--seeds", "2", "--set", f"seed={2**32 - 1}"]) == 2
    assert "goes beyond" in only_error(capsys)
    assert main(["compare", str(file), "--seeds", "1"]) == 0
    assert main(["compare", str(file), "--seeds", "2"]) == 0
    assert capsys.readouterr().out.count("Finished before") == 2
    out = workplace.own / "run"
    folders = [out / "arms" / "task" / f"seed-{seed}" for seed in (42, 43)]
    folders.append(out / "arms" / "task+logits" / "seed-43")
    for folder in (out, *folders):
        assert (folder / "student" / "model.safetensors").is_file()
    assert not (folders[0] / "checkpoints").exists()
    report = json.loads((out / "report.json").read_text())
    comparison = report["comparison"]
    arms = [(arm["name"], arm["seed"]) for arm in comparison["arms"]]
    assert arms == [("task", 42), ("task+logits", 42), ("task", 43), ("task+logits", 43)]
    difference = comparison["differences"][0]
    assert (difference["arm"], difference["other"]) == ("task+logits", "task")
    assert difference["seeds"] == [42, 43]
    quality = {arm["name"]: arm["quality"] for arm in comparison["arms"][:2]}
    assert quality["task+logits"] == report["student"]["quality"]


def test_the_arms_to_compare_can_be_chosen(capsys, workplace):
    recipe = workplace.recipe
    recipe["objective"] = {"task": {}, "logits": {}, "attention": {}}
    file = str(workplace.write(recipe))
    assert main(["compare", file, "--arm", "task+logit"]) == 2
    assert "--arm task+logit: a term is 'logit'; did you mean 'logits'?" in only_error(capsys)
    chosen = ["--arm", "attention + task", "--arm", "task+attention", "--seeds", "1"]
    assert main(["compare", file, *chosen]) == 0
    report = json.loads((workplace.own / "run" / "report.json").read_text())
    arms = [arm["name"] for arm in report["comparison"]["arms"]]
    assert arms == ["task+attention", "task+logits+attention"]
    assert report["student"]["quality"] == report["comparison"]["arms"][1]["quality"]


def test_an_arm_runs_again_with_the_teacher_of_its_comparison(capsys, workplace):
    recipe = workplace.recipe
    recipe["teacher"] = {
        "model": str(workplace.shared / "encoder"),
        "train": {"num_train_epochs": 1},
    }
    recipe["objective"] = {"task": {}, "logits": {}}
    assert main(["compare", str(workplace.write(recipe)), "--seeds", "1"]) == 0
    arm = workplace.own / "run" / "arms" / "task" / "seed-42"
    (arm / "report.json").unlink()
    capsys.readouterr()
    assert main(["run", str(arm / "recipe.yaml")]) == 0
    assert "reused from" in capsys.readouterr().out
    assert [path.name for path in arm.parent.iterdir()] == ["seed-42"]


def test_names_from_files_cannot_steer_the_terminal_or_the_page(capsys, workplace):
    evil = "<script>\x1b[31m{{7*7}}"
    teacher = workplace.own / "<script>teacher"
    shutil.copytree(workplace.shared / "classifier", teacher)
    config = json.loads((teacher / "config.json").read_text())
    config |= {"id2label": {"0": evil, "1": "good"}, "label2id": {evil: 0, "good": 1}}
    (teacher / "config.json").write_text(json.dumps(config))
    rows = [{"review": f"film {evil} {n}", "label": (evil, "good")[n % 2]} for n in range(40)]
    recipe = workplace.recipe
    recipe["teacher"]["model"] = str(teacher)
    recipe["data"] = recipe["data"] | {"train": str(write_csv(workplace.own / "<b>.csv", rows))}
    del recipe["data"]["validation"], recipe["data"]["test"]
    recipe["output_dir"] = str(workplace.own / "<i>run")
    assert main(["run", str(workplace.write(recipe))]) == 0
    assert main(["report", recipe["output_dir"]]) == 0
    printed = capsys.readouterr().out
    page = (workplace.own / "<i>run" / "report.html").read_text(encoding="utf-8")
    assert "<script>\ufffd[31m{{7*7}}" in printed
    assert "&lt;script&gt;\ufffd[31m{{7*7}}" in page
    assert "\x1b" not in printed + page
    assert not any(tag in page for tag in ("<script", "<b>", "<i>"))
    recipe["data"]["columns"]["label"] = evil
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_several_processes_are_refused(capsys, workplace, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["doctor", str(workplace.write(workplace.recipe))]) == 2
    assert "DistillationTrainer" in only_error(capsys)


def test_an_error_of_ours_shows_its_traceback(capsys, monkeypatch):
    def broken(**_):
        raise RuntimeError("a bug\nwith details")

    monkeypatch.setattr(cli, "app", broken)
    assert main([]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.strip().splitlines()[-1].endswith("failed while running: RuntimeError: a bug")
