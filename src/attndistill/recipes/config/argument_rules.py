"""Which of Transformers' training arguments a recipe may set, and within which limits."""

from typing import Any

from ...errors import InputError

ELSEWHERE = {
    "output_dir": "set output_dir at the top of the recipe, or --output-dir",
    "resume_from_checkpoint": "use --resume",
    "push_to_hub": "push the run's student/ folder once you have seen its report",
    "hub_token": "a recipe is copied into its report: log in with `hf auth login`",
    "batch_eval_metrics": "a recipe's metrics are fixed",
    "prediction_loss_only": "a recipe's metrics are fixed",
    "label_names": "data.columns.label names the labels",
    "fsdp": "recipes run in one process",
    "deepspeed": "recipes run in one process",
    "parallelism_config": "recipes run in one process",
    "use_liger_kernel": "it replaces the layers that teacher and student are compared in",
}
# Spelt out in a resolved recipe, so that it does not change with Transformers' defaults.
SPELT_OUT = (
    "num_train_epochs",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "optim",
    "max_grad_norm",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "train_sampling_strategy",
)
# By the names of transformers.EarlyStoppingCallback.
EARLY_STOPPING = {"early_stopping_patience": int, "early_stopping_threshold": float}
# Transformers accepts other values silently, then fails once it trains, or trains nothing.
POSITIVE = (
    "num_train_epochs",
    "learning_rate",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "eval_accumulation_steps",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "early_stopping_patience",
)
NOT_NEGATIVE = (
    "weight_decay",
    "warmup_steps",
    "max_grad_norm",
    "adam_epsilon",
    "eval_delay",
    "data_seed",
    "dataloader_num_workers",
    "early_stopping_threshold",
)
BELOW_ONE = ("adam_beta1", "adam_beta2")
MOST_SEEDS = 2**32  # NumPy accepts seeds below this


def check_range(name: str, value: Any, path: str) -> None:
    """Refuse a number outside the argument's range.

    Raises:
        InputError: with the path and what it must be.
    """
    if value is None:
        return
    if name in POSITIVE and value <= 0:
        raise InputError(f"{path} must be above 0, not {value!r}")
    if name in NOT_NEGATIVE and value < 0:
        raise InputError(f"{path} must not be below 0, not {value!r}")
    if name in BELOW_ONE and not 0 <= value < 1:
        raise InputError(f"{path} must be at least 0 and below 1, not {value!r}")
    if name == "max_steps" and value != -1 and value < 1:
        raise InputError(f"{path} must be above 0, or -1 to go by num_train_epochs, not {value!r}")
    if name == "seed":
        check_seed(value, path)


def check_seed(seed: int, path: str) -> None:
    """Refuse a seed that NumPy does not accept.

    Raises:
        InputError: it is negative or too high.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise InputError(f"{path} must be from 0 to {MOST_SEEDS - 1}, not {seed}")
