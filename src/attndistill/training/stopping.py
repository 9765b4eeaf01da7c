"""Early stopping that a resumed run keeps to."""

from typing import Any

from transformers import (
    EarlyStoppingCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)


class EarlyStopping(EarlyStoppingCallback):
    """``transformers.EarlyStoppingCallback``, and a run that had stopped does not train on.

    With ``restore_callback_states_from_checkpoint`` a resumed run goes on counting where it was;
    Transformers' own forgets at the start of any training that the last one had come to its end.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop again what is resumed after its stop; a new training counts from nothing."""
        super().on_train_begin(args, state, control, **kwargs)
        if state.global_step == 0:
            self.early_stopping_patience_counter = 0
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
