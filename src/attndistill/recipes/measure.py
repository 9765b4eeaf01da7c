"""Measure a trained student against its teacher on the test rows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from transformers import PreTrainedModel

from ..evaluation import (
    Cost,
    DataSection,
    ModelSection,
    Predictions,
    RunReport,
    SampleAttention,
    SplitSection,
    TrainingSection,
    attention_fidelity,
    classification_quality,
    detect_environment,
    measure_costs,
    predict,
    sample_attention,
)
from ..matching import LayerMap
from ..training import DistillationTrainer
from .output import STUDENT
from .plan import architecture
from .prepared import Prepared, layer_map
from .schema import Recipe

SAMPLE_TOKENS = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Distilled:
    """A finished run: its report, and what its student says on the test rows."""

    report: RunReport
    predictions: Predictions


def measure(
    recipe: Recipe,
    prepared: Prepared,
    student: PreTrainedModel,
    trainer: DistillationTrainer,
    *,
    seconds: float,
    notes: tuple[str, ...] = (),
    details: bool = True,
) -> Distilled:
    """Quality, fidelity and costs of a trained and saved student.

    Args:
        recipe: the recipe.
        prepared: its teacher and data.
        student: trained and saved.
        trainer: that trained it.
        seconds: that training took.
        notes: remarks for the report, besides those on the data.
        details: measure costs and show attention on a sentence too.
    """
    teacher, data = prepared.teacher, prepared.data
    # An arm that needs no teacher left it where it was.
    teacher.to(student.device)  # type: ignore[arg-type]
    predictions = predict(student, data.test, data.collator, description="Student on test")
    cost = _costs(recipe, prepared, student) if details else {}
    pairs = layer_map(recipe, student, teacher)
    report = RunReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=detect_environment(student.device),
        task=recipe.task,
        seed=recipe.seed,
        recipe=recipe.to_dict(),
        trust_remote_code=recipe.trust_remote_code,
        layer_map=pairs.pairs,
        data=_data_section(recipe, prepared),
        teacher=ModelSection(
            name=recipe.teacher.model,
            architecture=architecture(teacher),
            quality=classification_quality(prepared.teacher_predictions),
            cost=cost.get("teacher"),
        ),
        student=ModelSection(
            name=str(Path(recipe.output_dir, STUDENT)),
            architecture=architecture(student),
            quality=classification_quality(predictions, teacher=prepared.teacher_predictions),
            cost=cost.get("student"),
        ),
        training=TrainingSection(
            seconds=seconds,
            steps=trainer.state.global_step,
            history=tuple(trainer.state.log_history),
            first_step=dict(trainer.term_readings or {}),
        ),
        fidelity=tuple(attention_fidelity(teacher, student, pairs, data.test, data.collator)),
        sample=_sample(recipe, prepared, student, pairs) if details else None,
        notes=(*prepared.data.examples.notes, *notes),
    )
    return Distilled(report=report, predictions=predictions)


def _costs(recipe: Recipe, prepared: Prepared, student: PreTrainedModel) -> dict[str, Cost]:
    folders = {"student": Path(recipe.output_dir, STUDENT)}
    # A teacher from the hub has a name here instead of a folder.
    if (teacher_folder := Path(prepared.teacher.name_or_path or "")).is_dir():
        folders["teacher"] = teacher_folder
    return measure_costs(
        {"teacher": prepared.teacher, "student": student},
        prepared.data.test,
        prepared.data.collator,
        folders=folders,
    )


def _data_section(recipe: Recipe, prepared: Prepared) -> DataSection:
    data = prepared.data
    return DataSection(
        splits={
            split: SplitSection(
                rows=len(table),
                origin=data.examples.origins[split],
                truncation=data.truncated[split],
            )
            for split, table in data.examples.splits()
        },
        max_length=recipe.data.max_length,
        labels=prepared.labels.names,
    )


def _sample(
    recipe: Recipe, prepared: Prepared, student: PreTrainedModel, pairs: LayerMap
) -> SampleAttention:
    """Both models' attention on the first test text of a length that tells and can be read."""
    data = prepared.data
    distances = [abs(len(ids) - SAMPLE_TOKENS) for ids in data.test["input_ids"]]
    return sample_attention(
        prepared.teacher,
        student,
        pairs,
        prepared.tokenizer,
        data.examples.test.texts[distances.index(min(distances))],
        max_length=recipe.data.max_length,
    )
