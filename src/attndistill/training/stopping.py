"""Early stopping that also holds in a resumed run."""

from typing import Any

from transformers import (
    EarlyStoppingCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)


class EarlyStopping(EarlyStoppingCallback):
    """``transformers.EarlyStoppingCallback``, except that a stopped run stays stopped when resumed.

    With ``restore_callback_states_from_checkpoint`` a resumed run continues its count.
    Transformers' own callback forgets, whenever training starts, that the run had stopped.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop a run again that is resumed after its stop; a new run counts from 0."""
        super().on_train_begin(args, state, control, **kwargs)
        if state.global_step == 0:
            self.early_stopping_patience_counter = 0
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
