"""Load tokenizers and classifiers from folders or the hub: safetensors only, no foreign code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..errors import InputError
from ..students import build_student
from .labels import LabelMap, check_student_labels
from .schema import FreshStudent, KeptLayers, Recipe, StudentModel
from .tokenizers import check_same_tokenizer

T = TypeVar("T")
# A config file may name code to fetch and run as its attention (CVE-2026-4372).
SAFE_ATTENTION = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")


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
        _check_attention(raw, path)
        return raw, AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)

    return _loaded(load, name, path)[1]


def load_tokenizer(name: str, path: str, *, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer.

    Raises:
        InputError: there is none, or it has no padding token.
    """

    def load() -> PreTrainedTokenizerBase:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)

    tokenizer = _loaded(load, name, path)
    if tokenizer.pad_token is None:
        raise InputError(
            f"{path}: the tokenizer of {name!r} has no padding token, so texts cannot be batched; "
            "set pad_token (often to eos_token) and save it with save_pretrained"
        )
    return tokenizer


def load_classifier(
    name: str, path: str, *, labels: LabelMap, fresh_head: bool, trust_remote_code: bool
) -> PreTrainedModel:
    """Load a sequence classifier with the given classes.

    Args:
        name: folder or hub name.
        path: its dotted path in the recipe, for errors.
        labels: the classes.
        fresh_head: whether weights that the checkpoint lacks may be drawn at random.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        InputError: the weights cannot be loaded, or some are missing and ``fresh_head`` is False.
    """
    config = load_config(name, path, trust_remote_code=trust_remote_code)
    if config.problem_type not in (None, "single_label_classification"):
        raise InputError(
            f"{path}: {name!r} is made for {config.problem_type}; classification distils models "
            "that choose one class per text"
        )
    config.id2label = dict(enumerate(labels.names))
    config.label2id = {label: number for number, label in enumerate(labels.names)}
    _check_safetensors(name, path)

    def load() -> tuple[PreTrainedModel, Mapping[str, Any]]:
        return AutoModelForSequenceClassification.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            ignore_mismatched_sizes=fresh_head,
            output_loading_info=True,
        )

    model, info = _loaded(load, name, path)
    missing = sorted(info["missing_keys"])
    if missing and not fresh_head:
        raise InputError(
            f"{path}: {name!r} is not a fine-tuned classifier: its weights lack "
            f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}; give a fine-tuned model, "
            "or let it be fine-tuned first with teacher.train (for example "
            "{num_train_epochs: 1, learning_rate: 5.0e-5})"
        )
    return model.float()


def make_student(
    recipe: Recipe, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, labels: LabelMap
) -> PreTrainedModel:
    """Make the student that the recipe describes; fresh weights come from torch's generator.

    Raises:
        InputError: it cannot be built, or does not fit the teacher's tokenizer or labels.
    """
    match recipe.student:
        case KeptLayers(keep_layers=layers):
            return build_student(teacher, keep_layers=layers)
        case FreshStudent(config=config):
            return build_student(teacher, config=config)
        case StudentModel(model=name):
            trust, path = recipe.trust_remote_code, "student.model"
            own = load_config(name, path, trust_remote_code=trust)
            check_student_labels(label_names(own), labels.names)
            other = load_tokenizer(name, path, trust_remote_code=trust)
            check_same_tokenizer(other, tokenizer)
            return load_classifier(
                name, path, labels=labels, fresh_head=True, trust_remote_code=trust
            )


def label_names(config: PreTrainedConfig) -> list[str]:
    """The class names of a config in the order of their numbers."""
    return [name for _, name in sorted((config.id2label or {}).items())]


def _check_attention(raw: Any, path: str) -> None:
    if isinstance(raw, list):
        for item in raw:
            _check_attention(item, path)
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        if key.strip("_").removesuffix("_internal") == "attn_implementation":
            named = value.values() if isinstance(value, Mapping) else [value]
            if unsafe := [name for name in named if name not in (None, *SAFE_ATTENTION)]:
                raise InputError(
                    f"{path}: its config.json asks for the attention implementation "
                    f"{unsafe[0]!r}, which could run foreign code; remove {key!r} from it "
                    f"(allowed: {', '.join(SAFE_ATTENTION)})"
                )
        else:
            _check_attention(value, path)


def _check_safetensors(name: str, path: str) -> None:
    folder = Path(name)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickled = [file.name for file in folder.glob("*.bin")]
        raise InputError(
            f"{path}: {name!r} has no weights as safetensors"
            + (
                f", only {pickled[0]}, a pickle, which can run code when it is loaded; convert it "
                "where you trust it: load the model there and write it with save_pretrained"
                if pickled
                else "; give a folder that save_pretrained wrote"
            )
        )


def _loaded(load: Callable[[], T], name: str, path: str) -> T:
    try:
        return load()
    except InputError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        where = "the folder" if Path(name).is_dir() else "no folder here; as a hub name"
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot load {name!r} ({where}): {reason[:400]}") from error
