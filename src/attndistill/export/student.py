"""A complete student folder: it loads with Transformers alone."""

import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel


def save_student(model: PreTrainedModel, processing_class: Any, folder: str | Path) -> Path:
    """Write weights (safetensors), config with labels, and tokenizer or processor.

    The folder appears whole or not at all: a former one of the same name is replaced at the end.

    Args:
        model: the student, with merged weights (no adapters).
        processing_class: its tokenizer or processor.
        folder: where it goes.

    Returns:
        The folder, for ``AutoModel….from_pretrained`` and ``pipeline``.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    processing_class.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder
