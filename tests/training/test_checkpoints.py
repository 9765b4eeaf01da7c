import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny import make_batch, make_bert

from attndistill import DistillationArguments, DistillationTrainer, Objective, TaskTerm
from attndistill.training import latest_complete_checkpoint


def trainer(folder):
    arguments = DistillationArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        max_steps=2,
        save_steps=1,
        use_cpu=True,
        disable_tqdm=True,
    )
    batch = make_batch([5, 5, 5])
    rows = [{name: tensor[row] for name, tensor in batch.items()} for row in range(3)]
    return DistillationTrainer(
        make_bert(), args=arguments, objective=Objective({"task": TaskTerm()}), train_dataset=rows
    )


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two of an epoch's three steps, with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("run")
    trainer(folder).train()
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


def test_resuming_at_the_last_step_takes_no_further_one(run):
    resumed = trainer(run)
    resumed.train(resume_from_checkpoint=str(run / "checkpoint-2"))
    assert resumed.state.global_step == 2
    saved = load_file(run / "checkpoint-2" / "model.safetensors")
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
