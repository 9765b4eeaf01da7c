"""A complete student folder: it loads with Transformers alone."""

import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..errors import InputError


def save_student(model: PreTrainedModel, processing_class: Any, folder: str | Path) -> Path:
    """Write weights (safetensors), config with labels, and tokenizer or processor.

    The folder appears complete or not at all; a model folder of this name is replaced at the end.

    Args:
        model: the student, with merged weights (no adapters).
        processing_class: its tokenizer or processor.
        folder: where it goes.

    Returns:
        The folder, for ``AutoModel….from_pretrained`` and ``pipeline``.

    Raises:
        InputError: see `check_replaceable`.
    """
    folder = check_replaceable(folder)
    partial = check_replaceable(folder.with_name(folder.name + ".partial"))
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    processing_class.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def check_replaceable(folder: str | Path) -> Path:
    """Refuse a folder that holds anything but a saved model: it would be lost.

    Raises:
        InputError: it is a file, or has files but no config.json, as ``save_pretrained`` writes.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but a model folder is to be written there: move it")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise InputError(
            f"the folder {folder} is not replaced: it has files and no config.json, so it is not a "
            "saved model; choose another folder, or move its files away"
        )
    return folder
