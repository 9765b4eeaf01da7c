import pytest
from transformers import TrainerControl, TrainerState

from attndistill import DistillationArguments
from attndistill.training import EarlyStopping


@pytest.mark.parametrize(("steps_done", "stays_stopped"), [(0, False), (5, True)])
def test_what_had_stopped_stays_stopped_but_a_new_training_does_not(
    tmp_path, steps_done, stays_stopped
):
    arguments = DistillationArguments(
        output_dir=str(tmp_path),
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        report_to="none",
    )
    callback = EarlyStopping(early_stopping_patience=2)
    callback.early_stopping_patience_counter = 2
    control = TrainerControl()
    callback.on_train_begin(arguments, TrainerState(global_step=steps_done), control)
    assert control.should_training_stop is stays_stopped
