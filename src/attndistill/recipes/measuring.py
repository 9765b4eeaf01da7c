"""Measure a trained student against its teacher on the test rows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..matching import GroupMatch
from ..measure import (
    Cost,
    SampleAttention,
    attempt,
    attention_fidelity,
    detect_environment,
    measure_costs,
    sample_attention,
)
from ..metrics import Assessment, quality_of
from ..report import DataSection, ModelSection, RunReport, SplitSection, TrainingSection
from ..training import DistillationTrainer
from .build import Student
from .config.recipe import Recipe
from .prepared import Prepared
from .summary import architecture

SAMPLE_TOKENS = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Distilled:
    """A finished run: its report, and what its student does on the test rows."""

    report: RunReport
    assessed: Assessment


def measure(
    recipe: Recipe,
    prepared: Prepared,
    student: Student,
    trainer: DistillationTrainer,
    *,
    saved: Path,
    seconds: float,
    trained_parameters: int,
    notes: tuple[str, ...] = (),
    details: bool = True,
) -> Distilled:
    """Quality, fidelity and costs of a trained and saved student.

    Args:
        recipe: the recipe.
        prepared: its teacher and data.
        student: the trained student, saved in ``saved``.
        trainer: the trainer that trained it.
        saved: the student's folder.
        seconds: how long training took.
        trained_parameters: how many parameters it updated.
        notes: remarks for the report, besides those on the data.
        details: also measure costs and show attention on a sentence.
    """
    task, teacher, data, model = prepared.task, prepared.teacher, prepared.data, student.model
    # Training an arm without a teacher has not moved it to the student's device.
    teacher.to(model.device)  # type: ignore[arg-type]
    of_teacher = prepared.teacher_assessed
    assessed = task.assess(model, data, teacher=of_teacher, description="Student on test")
    missing: dict[str, str] = {}
    cost = {}
    if details:
        cost = attempt("costs", partial(_costs, recipe, prepared, model, saved), missing) or {}
    groups = student.compared_layers(teacher)
    compare = partial(attention_fidelity, teacher, model, groups, data.test.rows, data.collator)
    fidelity = tuple(attempt("attention fidelity", compare, missing) or ())
    sample = None
    if details:
        show = partial(_sample, prepared, model, groups)
        sample = attempt("attention on a sentence", show, missing)
    unmeasured = [f"Not measured: {figure} ({reason})." for figure, reason in missing.items()]
    report = RunReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=detect_environment(model.device),
        task=task.name,
        seed=recipe.seed,
        recipe=recipe.to_dict(),
        trust_remote_code=recipe.trust_remote_code,
        layer_map={str(group.student): group.layer_map.pairs for group in groups},
        data=_data_section(recipe, prepared),
        teacher=ModelSection(
            name=recipe.teacher.model,
            architecture=architecture(teacher),
            quality=quality_of(of_teacher),
            cost=cost.get("teacher"),
        ),
        student=ModelSection(
            name=str(saved),
            architecture=architecture(model),
            quality=quality_of(assessed, teacher=of_teacher),
            cost=cost.get("student"),
        ),
        training=TrainingSection(
            seconds=seconds,
            steps=trainer.state.global_step,
            history=tuple(trainer.state.log_history),
            first_step=dict(trainer.term_readings or {}),
            trained_parameters=trained_parameters,
        ),
        fidelity=fidelity,
        sample=sample,
        notes=(*prepared.remarks(), *notes, *unmeasured),
    )
    return Distilled(report=report, assessed=assessed)


def _costs(
    recipe: Recipe, prepared: Prepared, student: PreTrainedModel, saved: Path
) -> dict[str, Cost]:
    folders = {"student": saved}
    # A teacher from the hub has a name here instead of a folder.
    if (teacher_folder := Path(prepared.teacher.name_or_path or "")).is_dir():
        folders["teacher"] = teacher_folder
    return measure_costs(
        {"teacher": prepared.teacher, "student": student},
        prepared.data.test.rows,
        prepared.data.collator,
        folders=folders,
        watts=recipe.watts,
    )


def _data_section(recipe: Recipe, prepared: Prepared) -> DataSection:
    labels = prepared.data.labels
    return DataSection(
        splits={
            split: SplitSection(
                rows=len(part.table) if part.table is not None else None,
                origin=prepared.examples.origins[split],
                truncation=part.truncated,
            )
            for split, part in prepared.data.splits().items()
        },
        max_length=recipe.task.longest,
        labels=labels.names if labels is not None else (),
    )


def _sample(
    prepared: Prepared, student: PreTrainedModel, groups: list[GroupMatch]
) -> SampleAttention | None:
    """Both models' attention on the test text nearest to a length that is telling and readable."""
    rows, tokenizer = prepared.data.test.rows, prepared.data.processor
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return None
    distances = [abs(len(ids) - SAMPLE_TOKENS) for ids in rows["input_ids"]]
    batch = prepared.data.collator([rows[distances.index(min(distances))]])
    return sample_attention(prepared.teacher, student, groups, batch, tokenizer)
