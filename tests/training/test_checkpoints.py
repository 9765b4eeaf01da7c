import shutil

import pytest
from tiny import make_batch, make_bert

from attndistill import DistillationArguments, DistillationTrainer, Objective, TaskTerm
from attndistill.training import latest_complete_checkpoint


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two steps of a real run, with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("run")
    arguments = DistillationArguments(
        output_dir=str(folder), max_steps=2, save_steps=1, use_cpu=True, disable_tqdm=True
    )
    batch = make_batch([5, 3])
    rows = [{name: tensor[row] for name, tensor in batch.items()} for row in (0, 1)]
    DistillationTrainer(
        make_bert(), args=arguments, objective=Objective({"task": TaskTerm()}), train_dataset=rows
    ).train()
    return folder


@pytest.fixture
def run(checkpoints, tmp_path):
    return shutil.copytree(checkpoints, tmp_path / "run")


def test_the_newest_checkpoint_is_taken(run):
    assert latest_complete_checkpoint(run) == run / "checkpoint-2"
    assert latest_complete_checkpoint(run / "nowhere") is None


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "trainer_state.json",
        "rng_state.pth",
        "config.json",
    ],
)
def test_a_checkpoint_with_a_file_cut_off_is_passed_over(run, name):
    file = run / "checkpoint-2" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert latest_complete_checkpoint(run) == run / "checkpoint-1"


def test_a_state_that_is_no_object_or_a_file_in_the_way_is_passed_over(run):
    (run / "checkpoint-2" / "trainer_state.json").write_text("[]")
    (run / "checkpoint-3").write_text("no folder")
    assert latest_complete_checkpoint(run) == run / "checkpoint-1"
