"""Fine-tune the teacher once, and keep it under a fingerprint of all that made it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
)

from ..export import save_student
from .arguments import training_arguments
from .console import say
from .data import Data


def fine_tuned(
    teacher: PreTrainedModel,
    settings: Mapping[str, Any],
    *,
    data: Data,
    tokenizer: PreTrainedTokenizerBase,
    cache: Path,
) -> PreTrainedModel:
    """The teacher fine-tuned on the data: from the cache, or trained now and put there.

    Args:
        teacher: the model as loaded; its weights, the data and the settings make the fingerprint.
        settings: training arguments, with the seed.
        data: the tokenised splits; validation is used where the settings evaluate.
        tokenizer: saved with the model.
        cache: the folder of fine-tuned teachers.
    """
    kept = cache / fingerprint(teacher, settings, data)
    if kept.is_dir():
        say(f"Teacher: fine-tuned before on this data with these settings; reused from {kept}")
    else:
        say(f"Teacher: fine-tuning on {len(data.train)} rows, once; kept in {kept}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".training-", dir=cache) as scratch:
            _fine_tune(teacher, settings, data, scratch)
            _publish(teacher, tokenizer, Path(scratch, "teacher"), kept)
    return type(teacher).from_pretrained(kept, use_safetensors=True)


def fingerprint(teacher: PreTrainedModel, settings: Mapping[str, Any], data: Data) -> str:
    """16 hexadecimal digits over the weights, the settings and the tokenised splits."""
    digest = hashlib.sha256()
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(json.dumps(teacher.config.to_diff_dict(), sort_keys=True, default=str).encode())
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    for split in (data.train, data.validation):
        for row in split.select_columns(["input_ids", "labels"]):
            digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Share of rows whose highest logit is the label's."""
    logits = prediction.predictions
    logits = logits[0] if isinstance(logits, tuple) else logits
    return {"accuracy": float((logits.argmax(-1) == prediction.label_ids).mean())}


def _fine_tune(
    teacher: PreTrainedModel, settings: Mapping[str, Any], data: Data, scratch: str
) -> None:
    trainer = Trainer(
        model=teacher,
        args=training_arguments(settings, output_dir=scratch),
        data_collator=data.collator,
        train_dataset=data.train,
        eval_dataset=data.validation,
        compute_metrics=accuracy,
    )
    trainer.train()


def _publish(
    teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, written: Path, kept: Path
) -> None:
    """Put the folder in place whole; one that another run put there meanwhile is as good."""
    save_student(teacher, tokenizer, written)
    try:
        written.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise
        shutil.rmtree(written)
