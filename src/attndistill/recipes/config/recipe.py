"""What a recipe says: checked, frozen, with its defaults filled in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...measure import Collator
from ...metrics import Assessment
from ...objectives import Objective, Term
from ...tasks import Task, task_class
from .paths import locate_data, locate_model
from .reading import as_mapping, read_settings, refuse_unknown, settings_of
from .student import StudentConfig, StudentModel, read_student
from .terms import default_objective, read_objective
from .training import MOST_SEEDS, read_teacher_training, read_training
from .yaml_file import apply_settings, dump_yaml, read_yaml


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
class DataConfig:
    """Where the examples are.

    Attributes:
        train: one or more CSV, TSV, JSON lines or Parquet files, a folder written by
            ``save_to_disk``, or what ``load_dataset`` takes: a folder or a name on the hub.
        validation: likewise; where absent, the source's own split of this name or a tenth of
            the training rows.
        test: likewise.
        name: the configuration of a data set that has several, such as ``sst2`` of ``glue``.
        streaming: read the training rows while training, without keeping them; for text without
            labels, with ``training.max_steps``. A split that is missing is then the stream's first
            rows.
    """

    train: str | list[str]
    validation: str | list[str] | None = None
    test: str | list[str] | None = None
    name: str | None = None
    streaming: bool = False


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
    seed: int
    watts: float | None
    trust_remote_code: bool

    @property
    def objective(self) -> Objective:
        """The objective of the recipe's terms."""
        return Objective(self.terms)

    def with_terms(self, names: Sequence[str]) -> "Recipe":
        """The recipe with only these of its terms."""
        return replace(self, terms={name: self.terms[name] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """The resolved recipe as plain data: it reads back as the same recipe."""
        terms = {name: asdict(term) for name, term in self.terms.items()}  # type: ignore[call-overload]
        plain = {
            "task": self.task.name,
            "teacher": {key: value for key, value in asdict(self.teacher).items() if value},
            "student": {key: value for key, value in asdict(self.student).items() if value},
            "data": asdict(self.data) | _task_settings(self.task),
            "objective": terms,
            "training": dict(self.training),
            "seed": self.seed,
            "watts": self.watts,
            "output_dir": self.output_dir,
            "trust_remote_code": self.trust_remote_code,
        }
        return _plain(plain)

    def to_yaml(self) -> str:
        """The resolved recipe as YAML."""
        return dump_yaml(self.to_dict())


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
    sections = ("task", "teacher", "student", "data", "objective", "training")
    others = ("seed", "watts", "output_dir", "trust_remote_code")
    refuse_unknown(raw, [*sections, *others], "")
    for name in ("task", "teacher", "student", "data", "output_dir"):
        if name not in raw:
            raise InputError(f"the recipe has no {name}: add it (see `attndistill recipes`)")
    rest = read_settings(_Rest, {name: raw[name] for name in others if name in raw}, "")
    teacher = read_settings(TeacherConfig, raw["teacher"], "teacher")
    task, data = _read_data(raw["task"], raw["data"])
    task = replace(task, metric=metric, collate=collate)
    terms = read_objective(raw.get("objective", default_objective(task)), task)
    if data.streaming and not task.streams:
        raise InputError(
            "data.streaming is for text without labels (causal-lm, feature-extraction, or "
            f"classification with data.columns.label null), not for {task.name}"
        )
    if data.streaming and teacher.train is not None:
        raise InputError("data.streaming: fine-tune the teacher beforehand, not with teacher.train")
    training = read_training(
        raw.get("training", {}), "training", task, list(terms), streaming=data.streaming
    )
    student = read_student(raw["student"])
    if isinstance(student, StudentModel):
        student = replace(student, model=locate_model(student.model, folder, "student.model"))
    train = teacher.train
    if train is not None:
        train = read_teacher_training(train, "teacher.train", task, rest.seed)
    return Recipe(
        task=task,
        teacher=TeacherConfig(
            model=locate_model(teacher.model, folder, "teacher.model"),
            train=train,
        ),
        student=student,
        data=_located(data, folder),
        terms=terms,
        training=training,
        output_dir=rest.output_dir,
        seed=rest.seed,
        watts=rest.watts,
        trust_remote_code=rest.trust_remote_code,
    )


@dataclass(frozen=True, kw_only=True)
class _Rest:
    output_dir: str
    seed: int = 42
    watts: float | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not self.output_dir.strip() or "\0" in self.output_dir:
            raise InputError(f"output_dir must be a folder's path, not {self.output_dir!r}")
        if not 0 <= self.seed < MOST_SEEDS:
            raise InputError(f"seed must be from 0 to {MOST_SEEDS - 1}, not {self.seed}")
        if self.watts is not None and self.watts <= 0:
            raise InputError(f"watts must be above 0, not {self.watts:g}")


def _read_data(name: Any, raw: Any) -> tuple[Task, DataConfig]:
    """The lines of ``data``: where the rows are, and how the task reads them."""
    kind, settings = task_class(name), as_mapping(raw, "data")
    places = [field.name for field in fields(DataConfig)]
    known = [*places, *(field.name for field in settings_of(kind))]
    refuse_unknown(settings, known, "data")
    own = {name: value for name, value in settings.items() if name not in places}
    places_given = {name: value for name, value in settings.items() if name in places}
    return read_settings(kind, own, "data"), read_settings(DataConfig, places_given, "data")


def _task_settings(task: Task) -> dict[str, Any]:
    values = {field.name: getattr(task, field.name) for field in settings_of(type(task))}
    return {n: asdict(v) if is_dataclass(v) else v for n, v in values.items()}  # type: ignore[arg-type]


def _located(data: DataConfig, folder: Path) -> DataConfig:
    located: dict[str, Any] = {
        name: locate_data(source, folder, f"data.{name}")
        for name in ("train", "validation", "test")
        if (source := getattr(data, name)) is not None
    }
    train = located["train"]
    if data.name is not None and (isinstance(train, list) or Path(train).is_file()):
        raise InputError(
            f"data.name picks a configuration of a data set, but data.train is a file: "
            f"remove data.name ({data.name!r})"
        )
    return replace(data, **located)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
