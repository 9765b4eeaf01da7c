"""Training arguments: Hugging Face's own, with defaults that cannot hide a failure."""

from dataclasses import dataclass, field

from transformers import Seq2SeqTrainingArguments

from ..errors import InputError


@dataclass
class DistillationArguments(Seq2SeqTrainingArguments):
    """``Seq2SeqTrainingArguments`` by their own names; terms and weights are the `Objective`'s.

    Raises:
        InputError: an argument under which distillation would silently go wrong.
    """

    # True, Transformers' default, logs an all-NaN run as loss 0.0.
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Log non-finite losses as they are."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_smoothing_factor:
            raise InputError(
                "label_smoothing_factor is not part of the distillation objective; set it to 0 "
                "(logits distillation already softens the targets)"
            )
        checkpointing = self.gradient_checkpointing_kwargs
        if isinstance(checkpointing, dict) and checkpointing.get("use_reentrant"):
            raise InputError(
                "reentrant gradient checkpointing gives attention terms no gradient; set "
                'gradient_checkpointing_kwargs={"use_reentrant": False}'
            )
