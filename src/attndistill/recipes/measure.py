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
    SplitSection,
    TrainingSection,
    attention_fidelity,
    classification_quality,
    detect_environment,
    measure_costs,
    predict,
    sample_attention,
)
from ..training import DistillationTrainer
from .data import Data
from .output import STUDENT
from .plan import architecture
from .preparation import Prepared, layer_map
from .schema import Recipe

# The sentence shown has about this many tokens: long enough to tell, short enough to read.
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
    costs: bool = True,
) -> Distilled:
    """Quality, fidelity and costs of a trained and saved student.

    Args:
        recipe: the recipe.
        prepared: its teacher and data.
        student: trained and saved.
        trainer: that trained it.
        seconds: that training took.
        notes: remarks for the report, besides those on the data.
        costs: measure costs too.
    """
    teacher, data = prepared.teacher, prepared.data
    # An arm that needs no teacher left it where it was.
    teacher.to(student.device)  # type: ignore[arg-type]
    predictions = predict(student, data.test, data.collator, description="Student on test")
    cost = _costs(recipe, prepared, student) if costs else {}
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
        sample=sample_attention(
            teacher,
            student,
            pairs,
            prepared.tokenizer,
            _sample_text(data),
            max_length=recipe.data.max_length,
        ),
        notes=(*prepared.data.examples.notes, *notes),
    )
    return Distilled(report=report, predictions=predictions)


def _costs(recipe: Recipe, prepared: Prepared, student: PreTrainedModel) -> dict[str, Cost]:
    folders = {"student": Path(recipe.output_dir, STUDENT)}
    if recipe.teacher.train is None and Path(recipe.teacher.model).is_dir():
        folders["teacher"] = Path(recipe.teacher.model)
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


def _sample_text(data: Data) -> str:
    lengths = [abs(len(ids) - SAMPLE_TOKENS) for ids in data.test["input_ids"]]
    return data.examples.test.texts[lengths.index(min(lengths))]
