"""Low-rank adapters: what is trained in the student, and how it is merged into its weights."""

from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import PreTrainedModel

from ...errors import InputError
from ..config.student import FreshStudent, StudentConfig

if TYPE_CHECKING:
    from peft import LoraConfig


def lora_config(config: StudentConfig, student: PreTrainedModel) -> "LoraConfig | None":
    """PEFT's configuration for a student; None where all its weights are trained.

    The head, all modules outside the body, is trained in full.

    Raises:
        InputError: PEFT is not installed, or a target module does not exist.
    """
    if isinstance(config, FreshStudent) or config.lora is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise InputError(
            'student.lora needs the peft package: pip install "attndistill[peft]"'
        ) from error
    lora, head = config.lora, _head(student)
    _check_targets(lora.target_modules, student)
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        modules_to_save=head or None,
        exclude_modules=head or None,
    )


def merged(model: nn.Module) -> Any:
    """The student with its adapters merged into its weights; a model without any as it is."""
    merge = getattr(model, "merge_and_unload", None)
    return model if merge is None else merge()


def _check_targets(targets: str | list[str] | None, student: PreTrainedModel) -> None:
    """Refuse a name that no layer has: PEFT only refuses where none of the names exists."""
    linear = {n.split(".")[-1] for n, m in student.named_modules() if isinstance(m, nn.Linear)}
    names = [targets] if isinstance(targets, str) else targets or []
    for name in names:
        path = f".{name}"
        known = any(f".{found}".endswith(path) for found, _ in student.named_modules())
        if name != "all-linear" and not known:
            raise InputError(
                f"student.lora.target_modules: {type(student).__name__} has no layer {name!r}; its "
                f"linear layers are named {', '.join(sorted(linear))}"
            )


def _head(student: PreTrainedModel) -> list[str]:
    """The names of the head's modules; a language model's head belongs to its embeddings."""
    if student.get_output_embeddings() is not None:
        return []
    return [
        name
        for name, module in student.named_children()
        if name != student.base_model_prefix and any(True for _ in module.parameters())
    ]
