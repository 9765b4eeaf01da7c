import pytest
from safetensors.torch import load_file
from tiny import make_bert

from attndistill.errors import InputError
from attndistill.export import save_student


class Processor:
    """What `save_student` asks of a tokenizer."""

    def save_pretrained(self, folder):
        (folder / "tokenizer.json").write_text("{}")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_saved_model_is_replaced_whole(tmp_path):
    folder = tmp_path / "student"
    save_student(make_bert(layers=2), Processor(), folder)
    (folder / "left_over.txt").write_text("of the old one")
    model = make_bert(layers=1)
    assert save_student(model, Processor(), folder) == folder
    assert files(folder) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert files(tmp_path) == ["student"]
    assert set(load_file(folder / "model.safetensors")) == set(model.state_dict())


def test_an_empty_folder_is_used(tmp_path):
    save_student(make_bert(layers=1), Processor(), tmp_path)
    assert "model.safetensors" in files(tmp_path)


@pytest.mark.parametrize("name", ["student", "student.partial"])
def test_a_folder_that_is_no_saved_model_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=rf"{name} is not replaced: it has files and no config"):
        save_student(make_bert(layers=1), Processor(), tmp_path / "student")
    assert files(tmp_path) == [name]
    assert files(tmp_path / name) == ["thesis.txt"]


def test_a_file_of_that_name_is_refused(tmp_path):
    (tmp_path / "student").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        save_student(make_bert(layers=1), Processor(), tmp_path / "student")
    assert (tmp_path / "student").read_text() == "mine"
