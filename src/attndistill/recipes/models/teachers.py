"""Fine-tune the teacher once, and keep it under a fingerprint of everything that made it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, Trainer

from ...console import say
from ...export import save_student
from ...tasks import Data, Task
from ..config.training import early_stopping, training_arguments


def fine_tuned(
    teacher: PreTrainedModel,
    settings: Mapping[str, Any],
    *,
    task: Task,
    data: Data,
    cache: Path,
) -> PreTrainedModel:
    """The teacher fine-tuned on the data: from the cache, or trained now and kept there.

    Args:
        teacher: the model as loaded; the fingerprint is of its weights, the data and the settings.
        settings: training arguments, with the seed.
        task: gives the metrics.
        data: the encoded splits; validation is used where the settings evaluate.
        cache: the folder of fine-tuned teachers.
    """
    kept = cache / fingerprint(teacher, settings, task, data)
    if kept.is_dir():
        say(f"Teacher: fine-tuned before on this data with these settings; reused from {kept}")
    else:
        say(f"Teacher: fine-tuning on {len(data.train.rows)} rows, once; kept in {kept}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".training-", dir=cache) as scratch:
            _fine_tune(teacher, settings, task, data, scratch)
            _publish(teacher, data.processor, Path(scratch, "teacher"), kept)
    return type(teacher).from_pretrained(kept, use_safetensors=True)


def fingerprint(
    teacher: PreTrainedModel, settings: Mapping[str, Any], task: Task, data: Data
) -> str:
    """16 hexadecimal digits over the weights, the settings and the encoded splits."""
    digest = hashlib.sha256()
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(json.dumps(teacher.config.to_diff_dict(), sort_keys=True, default=str).encode())
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    for split in (data.train, data.validation):
        for row in task.contents(split):
            digest.update(row)
    return digest.hexdigest()[:16]


def _fine_tune(
    teacher: PreTrainedModel, settings: Mapping[str, Any], task: Task, data: Data, scratch: str
) -> None:
    trainer = Trainer(
        model=teacher,
        args=training_arguments(settings, output_dir=scratch),
        data_collator=data.collator,
        train_dataset=data.train.rows,
        eval_dataset=data.validation.rows,
        compute_metrics=task.compute_metrics(data),
        preprocess_logits_for_metrics=task.preprocess_logits(),
        callbacks=early_stopping(settings),
    )
    trainer.train()


def _publish(teacher: PreTrainedModel, processor: Any, written: Path, kept: Path) -> None:
    """Move the complete folder into place; one that another run has put there is as good."""
    save_student(teacher, processor, written)
    try:
        written.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise
        shutil.rmtree(written)
