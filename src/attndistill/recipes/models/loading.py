"""Load configs, processors and models from folders or the hub."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from transformers import (
    AutoConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ...errors import InputError
from ...students import build_student
from ...tasks import LabelMap, Task, check_student_labels, label_names
from ..config.recipe import Recipe
from ..config.student import FreshStudent, KeptLayers, StudentModel
from .safety import FLASH_ATTENTION, check_attention, check_safetensors
from .tokenizers import check_knows_words, check_same_tokenizer

T = TypeVar("T")


def load_config(name: str, path: str, *, trust_remote_code: bool) -> PreTrainedConfig:
    """Load a model's config.

    Raises:
        InputError: there is none, or it asks for an attention implementation that is not known to
            be safe.
    """
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise InputError(
            f"{path}: the folder {name!r} has no config.json; give a folder that save_pretrained "
            "wrote (an adapter must be merged into its model first)"
        )

    def load() -> tuple[dict[str, Any], PreTrainedConfig]:
        raw, _ = PreTrainedConfig.get_config_dict(name)
        check_attention(raw, path)
        return raw, AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)

    return _loaded(load, name, path)[1]


def load_processor(name: str, path: str, *, task: Task, trust_remote_code: bool) -> Any:
    """Load a model's tokenizer or image processor, set up for the task.

    Raises:
        InputError: there is none, or it lacks what the task needs.
    """

    def load() -> Any:
        kind = task.processor_class
        return kind.from_pretrained(name, trust_remote_code=trust_remote_code)

    processor = _loaded(load, name, path)
    check_knows_words(processor, name, path)
    task.fit_processor(processor, path)
    return processor


def load_model(
    name: str,
    path: str,
    *,
    task: Task,
    labels: LabelMap | None,
    fresh_head: bool,
    trust_remote_code: bool,
) -> PreTrainedModel:
    """Load a model of a task, with the given classes.

    Args:
        name: folder or hub name.
        path: its dotted path in the recipe, for errors.
        task: decides the kind of model.
        labels: the classes, if the task has any.
        fresh_head: whether weights that the checkpoint lacks may be initialised at random.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        InputError: the weights cannot be loaded, or some that are needed are missing.
    """
    config = load_config(name, path, trust_remote_code=trust_remote_code)
    task.configure(config, labels, path)
    if config._attn_implementation in FLASH_ATTENTION:
        # The default computes the same. A flash kernel takes no float32, and hides its FLOPs.
        config._attn_implementation = None
    check_safetensors(name, path)
    fresh_head = fresh_head and task.has_own_head

    def load() -> tuple[PreTrainedModel, Mapping[str, Any]]:
        return task.model_class(config).from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            # What does not fit is refused below with its sizes, which this error would not name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )

    model, info = _loaded(load, name, path)
    if not fresh_head:
        _check_complete(info, name, path, task)
    for key, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InputError(
                f"{path}: {name!r} has weights that are not finite ({key}): its training has "
                "diverged; give another checkpoint"
            )
    return model.float()


def make_student(
    recipe: Recipe, teacher: PreTrainedModel, processor: Any, labels: LabelMap | None
) -> PreTrainedModel:
    """Make the student that the recipe describes; fresh weights come from torch's generator.

    Raises:
        InputError: it cannot be built, or does not fit the teacher's processor or labels.
    """
    match recipe.student:
        case KeptLayers(keep_layers=layers):
            return build_student(teacher, keep_layers=layers)
        case FreshStudent(config=config):
            return build_student(teacher, config=config)
        case StudentModel(model=name):
            trust, path = recipe.trust_remote_code, "student.model"
            if labels is not None:
                own = load_config(name, path, trust_remote_code=trust)
                check_student_labels(label_names(own), labels.names)
            other = load_processor(name, path, task=recipe.task, trust_remote_code=trust)
            if isinstance(processor, PreTrainedTokenizerBase):
                check_same_tokenizer(other, processor)
            return load_model(
                name,
                path,
                task=recipe.task,
                labels=labels,
                fresh_head=True,
                trust_remote_code=trust,
            )


def _check_complete(info: Mapping[str, Any], name: str, path: str, task: Task) -> None:
    """Refuse weights that do not fit the model, or lack some of it; ``info`` says which."""
    if info["mismatched_keys"]:
        key, there, needed = sorted(info["mismatched_keys"])[0]
        raise InputError(
            f"{path}: {name!r} does not fit its config and the data: {key} is {list(there)} in its "
            f"weights, but {list(needed)} is needed; does it have other classes?"
        )
    missing = sorted(key for key in info["missing_keys"] if not task.may_lack(key))
    if missing:
        raise InputError(
            f"{path}: {name!r} is not a model fine-tuned for {task.name}: its weights lack "
            f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}; give a fine-tuned model"
            + (
                ", or let it be fine-tuned first with teacher.train (for example "
                "{num_train_epochs: 1, learning_rate: 5.0e-5})"
                if task.has_own_head
                else ""
            )
        )


def _loaded(load: Callable[[], T], name: str, path: str) -> T:
    try:
        return load()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library trips over in a broken file
        where = "the folder" if Path(name).is_dir() else "no folder here; tried as a hub name"
        reason = " ".join(str(error).split())
        if not isinstance(error, OSError | ValueError):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(f"{path}: cannot load {name!r} ({where}): {reason[:400]}") from error
