"""Image classification from folders of pictures, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from PIL.ImageFile import ImageFile as Picture
from transformers import (
    AutoModelForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    pipeline,
)

from attndistill.cli import main


def write_pictures(folder, count, seed):
    """Noise that is brighter on the left or on the right."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        label = ["left", "right"][number % 2]
        pixels = generator.integers(0, 120, (20, 24, 3)).astype(np.uint8)
        half = slice(0, 12) if label == "left" else slice(12, 24)
        pixels[:, half] += 130
        file = folder / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return str(folder)


def write_vision_model(folder):
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=16,
        patch_size=8,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=32,
        id2label={0: "left", 1: "right"},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)


@pytest.fixture
def recipe(tmp_path, workplace):
    write_vision_model(tmp_path / "vit")
    return {
        "task": "image-classification",
        "teacher": {"model": str(tmp_path / "vit"), "train": {"num_train_epochs": 3}},
        "student": {"keep_layers": [0, 2]},
        "data": {
            "train": write_pictures(tmp_path / "train", 48, 0),
            "test": write_pictures(tmp_path / "test", 16, 1),
        },
        "training": {"num_train_epochs": 3, "learning_rate": 3e-3, "load_best_model_at_end": True},
        "output_dir": str(workplace.own / "run"),
    }


def test_a_vision_model_from_a_folder_of_pictures_by_class(workplace, recipe, tmp_path):
    file = workplace.write(recipe)
    assert main(["doctor", str(file)]) == 0
    assert main(["run", str(file)]) == 0
    folder = workplace.own / "run"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    quality = report["student"]["quality"]
    assert quality["deciding"] == "accuracy"
    assert quality["metrics"]["accuracy"]["value"] > 0.8
    assert report["data"]["labels"] == ["left", "right"]
    assert report["data"]["max_length"] is None
    assert report["student"]["cost"]["flops"]["input_size"] == "3×16×16 pixels"
    assert len(report["fidelity"]) == 2
    assert "<script" not in (folder / "report.html").read_text(encoding="utf-8")
    student = AutoModelForImageClassification.from_pretrained(folder / "student")
    assert student.config.num_hidden_layers == 2
    classify = pipeline("image-classification", model=str(folder / "student"))
    answers = classify(str(tmp_path / "test" / "left" / "0.png"))
    assert answers[0]["label"] == "left"


def test_pictures_in_a_table_and_bad_ones_are_named(workplace, recipe, tmp_path, capsys):
    paths = [str(tmp_path / "train" / "left" / f"{n}.png") for n in range(0, 48, 2)]
    rows = {"photo": paths, "kind": ["left", "right"] * 12}
    Dataset.from_dict(rows).to_parquet(tmp_path / "train.parquet")
    recipe["data"] = {
        "train": str(tmp_path / "train.parquet"),
        "columns": {"image": "photo", "label": "kind"},
    }
    del recipe["teacher"]["train"]
    assert main(["doctor", str(workplace.write(recipe))]) == 0
    bad = tmp_path / "train" / "left" / "4.png"
    bad.write_bytes(b"no picture")
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert f"data row 3 ({bad}) is no picture that can be opened" in capsys.readouterr().err
    recipe["data"]["columns"]["image"] = "kind"
    recipe["data"]["columns"]["label"] = "photo"
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert "data.train: data row 1 (left) is no picture" in capsys.readouterr().err
    recipe["data"] = {"train": str(workplace.shared / "train.csv"), "max_length": 3}
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert "unknown key data.max_length" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif"])
def test_a_picture_that_is_cut_off_is_found_before_training(
    workplace, recipe, tmp_path, suffix, capsys
):
    whole = tmp_path / "train" / "left" / "0.png"
    cut = tmp_path / "train" / "right" / f"cut{suffix}"
    Image.open(whole).resize((90, 70)).save(cut)
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    assert main(["run", str(workplace.write(recipe))]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert f"data.train: data row 49 ({cut}) is no picture that can be opened" in error
    assert not (workplace.own / "teachers").exists()
    cut.write_bytes(content)
    assert main(["doctor", str(workplace.write(recipe))]) == 0


def test_a_picture_that_breaks_while_training_is_named(workplace, recipe, tmp_path, capsys):
    broken = tmp_path / "train" / "left" / "20.png"
    load = Picture.load

    def fails_after_the_check(self):
        if Path(self.filename) == broken:
            raise OSError("broken data stream")
        return load(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "load", fails_after_the_check)
        assert main(["run", str(workplace.write(recipe))]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith("attndistill: data.train")
    assert f"a picture ({broken}) cannot be read: broken data stream" in error
