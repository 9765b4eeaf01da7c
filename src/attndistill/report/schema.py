"""The one report of a run: all that tables, plots and the HTML page read."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..measure.costs import Cost
from ..measure.environment import Environment
from ..measure.fidelity import LayerFidelity
from ..measure.sample import SampleAttention
from ..metrics.quality import Quality
from ..objectives import TermReading
from ..reading import STRICT, json_number, to_plain
from .comparison import Comparison

SCHEMA_VERSION = 2
JSON_NAME = "report.json"
HTML_NAME = "report.html"
# In indented JSON. A string in JSON has no line break, so nothing inside one matches.
NUMBERS_ALONE = re.compile(r"\[\n[-\d.,eE+\s]*\]")


class OtherVersionError(InputError):
    """A report that another version wrote: it is whole, but cannot be read."""


@dataclass(frozen=True, kw_only=True)
class SplitSection:
    """One split of the data.

    Attributes:
        rows: of the split; None for a stream.
        origin: where it comes from: the file, or "cut from train with seed 0".
        truncation: share of its rows cut at ``max_length`` tokens; None where it is not known
            (streams) or nothing is cut (images).
    """

    rows: int | None
    origin: str
    truncation: float | None


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """The data of the run.

    Attributes:
        splits: by name.
        max_length: tokens; None for images.
        labels: the classes by id; empty for tasks without.
    """

    splits: dict[str, SplitSection]
    max_length: int | None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelSection:
    """One model: what it is, how good it is on the test rows and what it costs.

    Attributes:
        name: path or hub name.
        architecture: for instance ``BertModel, 6 attention layers, 12 heads, 384 wide``.
        quality: on the test rows.
        cost: None where it was not measured.
    """

    name: str
    architecture: str
    quality: Quality
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSection:
    """How the student was trained.

    Attributes:
        seconds: wall-clock time.
        steps: optimizer steps.
        history: Trainer's log, one dict per logged step.
        first_step: every term's value, weight and gradient norm before the first update.
        trained_parameters: how many parameters were updated; with adapters few of them.
    """

    seconds: float
    steps: int
    history: tuple[dict[str, float], ...] = ()
    first_step: dict[str, TermReading] = field(default_factory=dict)
    trained_parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """Everything a run found out.

    Attributes:
        schema_version: of this layout.
        created: ISO 8601 time.
        environment: versions and device.
        task: as in the recipe.
        seed: of the run.
        recipe: as resolved.
        trust_remote_code: whether code that came with a model was allowed to run.
        layer_map: by group of layers, the pairs (student layer, teacher layer) whose attention is
            compared, 0-based.
        data: splits.
        teacher: the model it learned from.
        student: the model trained; its quality is compared with the teacher's on the same rows.
        training: of the student.
        fidelity: per mapped layer; empty where attention was not compared.
        comparison: other arms; empty where there are none.
        sample: attention on one sentence, for the heatmaps.
        notes: warnings and remarks for the reader.
    """

    schema_version: int = SCHEMA_VERSION
    created: str
    environment: Environment
    task: str
    seed: int
    recipe: dict[str, Any]
    trust_remote_code: bool
    layer_map: dict[str, tuple[tuple[int, int], ...]]
    data: DataSection
    teacher: ModelSection
    student: ModelSection
    training: TrainingSection
    fidelity: tuple[LayerFidelity, ...] = ()
    comparison: Comparison = Comparison()
    sample: SampleAttention | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The report as strict JSON, with each list of bare numbers on one line."""
        plain = to_plain(self, number=json_number)
        text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
        return NUMBERS_ALONE.sub(lambda match: re.sub(r"\s+", " ", match[0]), text)

    @classmethod
    def from_json(cls, text: str, *, source: str = "the report") -> "RunReport":
        """The report of `to_json`.

        Args:
            text: JSON.
            source: where it is from, for the error.

        Raises:
            InputError: it is not whole, of another schema version, or not a report.
        """
        try:
            plain = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                f"{source} is not a whole JSON file ({error}); it was probably cut off: run again"
            ) from error
        found = plain.get("schema_version") if isinstance(plain, dict) else None
        if isinstance(found, int) and found != SCHEMA_VERSION:
            raise OtherVersionError(
                f"{source} has schema_version {found!r}, but this version of attndistill reads "
                f"{SCHEMA_VERSION}: read it with the version that wrote it, or run again"
            )
        if found is None:
            raise InputError(
                f"{source} is not a report: it has no schema_version; give a run's {JSON_NAME}"
            )
        try:
            return STRICT.settings(cls, plain, "report")
        except InputError as error:
            raise InputError(
                f"{source} is not a report that this version of attndistill wrote: {error}; it "
                "was probably edited: run again"
            ) from error

    @classmethod
    def read(cls, path: str | Path) -> "RunReport":
        """Read ``report.json``, or the one in a run's folder.

        Raises:
            InputError: there is none, or see `from_json`.
        """
        path = Path(path)
        file = path / JSON_NAME if path.is_dir() else path
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file} cannot be read ({error}): give a run's folder that holds {JSON_NAME}"
            ) from error
        return cls.from_json(text, source=str(file))
