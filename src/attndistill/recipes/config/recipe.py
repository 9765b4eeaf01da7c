"""What a recipe says: checked, frozen, with its defaults filled in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from ...errors import InputError
from ...measure import Collator
from ...metrics import Assessment
from ...objectives import Objective, Term
from ...reading import LENIENT, as_mapping, refuse_unknown, to_plain
from ...tasks import Task
from .argument_rules import check_seed
from .dataset import DataConfig, located, read_data
from .paths import locate_model
from .student import StudentConfig, StudentModel, read_student
from .terms import default_objective, read_objective
from .training import read_teacher_training, read_training
from .yaml_file import apply_settings, read_yaml

SECTIONS = ("task", "teacher", "student", "data", "objective", "training")
REQUIRED = ("task", "teacher", "student", "data", "output_dir")
# Top-level keys that are fields of `Recipe` as they are.
SINGLE = ("seed", "watts", "output_dir", "trust_remote_code")


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Where the teacher comes from.

    Attributes:
        model: a folder, or a name on the model hub.
        train: training arguments, where it still needs fine-tuning on the recipe's data.
    """

    model: str
    train: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run: what is distilled into what, on which data, for which objective.

    Attributes:
        task: the kind of model, and how it reads the data.
        teacher: the model to learn from.
        student: the model that learns.
        data: where the examples are.
        terms: the objective's terms by name.
        training: the student's `DistillationArguments`, by their own names.
        output_dir: the run's folder.
        seed: of the student's weights, the order of the data and dropout.
        watts: power that the device draws, for the energy estimate where no meter can be read;
            None assumes a common processor's or GPU's.
        trust_remote_code: whether code that comes with a model may run.
    """

    task: Task
    teacher: TeacherConfig
    student: StudentConfig
    data: DataConfig
    terms: Mapping[str, Term]
    training: Mapping[str, Any]
    output_dir: str
    seed: int = 42
    watts: float | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not self.output_dir.strip() or "\0" in self.output_dir:
            raise InputError(f"output_dir must be a folder's path, not {self.output_dir!r}")
        check_seed(self.seed, "seed")
        if self.watts is not None and self.watts <= 0:
            raise InputError(f"watts must be above 0, not {self.watts:g}")

    @property
    def objective(self) -> Objective:
        """The objective of the recipe's terms."""
        return Objective(self.terms)

    def with_terms(self, names: Sequence[str]) -> "Recipe":
        """The recipe with only these of its terms."""
        return replace(self, terms={name: self.terms[name] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """The resolved recipe as plain data: it reads back as the same recipe."""
        plain: dict[str, Any] = to_plain(
            {
                "task": self.task.name,
                "teacher": self.teacher,
                "student": self.student,
                "data": self.data,
                "objective": self.terms,
                "training": self.training,
                **{name: getattr(self, name) for name in SINGLE},
            }
        )
        for section in ("teacher", "student"):
            plain[section] = {key: value for key, value in plain[section].items() if value}
        plain["data"] |= to_plain(self.task)
        return plain


def load_recipe(
    path: str | Path,
    *,
    settings: Sequence[str] = (),
    output_dir: str | None = None,
    metric: Callable[..., Assessment] | None = None,
    collate: Collator | None = None,
) -> Recipe:
    """Read, override and check a recipe file.

    Args:
        path: the YAML file. Relative paths in it are taken from the working directory, then from
            the file's folder.
        settings: ``a.b=value`` overrides, applied before anything is checked.
        output_dir: in place of the recipe's own; by default ``runs/<name of the file>``.
        metric: in place of the task's own, see `Task`; the best checkpoint may go by ``metric``.
        collate: in place of the task's own collator, see `Task`.

    Raises:
        InputError: the recipe is wrong; the message gives the dotted path.
    """
    path = Path(path)
    raw = as_mapping(apply_settings(read_yaml(path), settings), "")
    if output_dir is not None:
        raw["output_dir"] = output_dir
    raw.setdefault("output_dir", str(Path("runs", path.stem)))
    return read_recipe(raw, folder=path.parent, metric=metric, collate=collate)


def read_recipe(
    raw: Mapping[str, Any],
    *,
    folder: Path,
    metric: Callable[..., Assessment] | None = None,
    collate: Collator | None = None,
) -> Recipe:
    """Check a parsed recipe; paths are looked up from the working directory, then ``folder``."""
    refuse_unknown(raw, [*SECTIONS, *SINGLE], "")
    for name in REQUIRED:
        if name not in raw:
            raise InputError(f"the recipe has no {name}: add it (see `attndistill recipes`)")
    hints = get_type_hints(Recipe)
    single = {name: LENIENT.value(hints[name], raw[name], name) for name in SINGLE if name in raw}
    task, data = read_data(raw["task"], raw["data"])
    task = replace(task, metric=metric, collate=collate)
    teacher = LENIENT.settings(TeacherConfig, raw["teacher"], "teacher")
    if data.streaming:
        _check_streams(task, teacher)
    teacher = replace(teacher, model=locate_model(teacher.model, folder, "teacher.model"))
    if teacher.train is not None:
        seed = single.get("seed", Recipe.seed)
        train = read_teacher_training(teacher.train, "teacher.train", task, seed)
        teacher = replace(teacher, train=train)
    student = read_student(raw["student"])
    if isinstance(student, StudentModel):
        student = replace(student, model=locate_model(student.model, folder, "student.model"))
    terms = read_objective(raw.get("objective", default_objective(task)), task)
    training = read_training(
        raw.get("training", {}), "training", task, list(terms), streaming=data.streaming
    )
    return Recipe(
        task=task,
        teacher=teacher,
        student=student,
        data=located(data, folder),
        terms=terms,
        training=training,
        **single,
    )


def _check_streams(task: Task, teacher: TeacherConfig) -> None:
    if not task.streams:
        raise InputError(
            "data.streaming is for text without labels (causal-lm, feature-extraction, or "
            f"classification with data.columns.label null), not for {task.name}"
        )
    if teacher.train is not None:
        raise InputError("data.streaming: fine-tune the teacher beforehand, not with teacher.train")
