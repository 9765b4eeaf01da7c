"""What a recipe says of its data."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...reading import LENIENT, as_mapping, refuse_unknown, settings_of
from ...tasks import Task, task_class
from .paths import locate_data


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


def read_data(name: Any, raw: Any) -> tuple[Task, DataConfig]:
    """Check a recipe's ``data``: its lines say where the rows are and how the task reads them.

    Args:
        name: the recipe's ``task``.
        raw: the recipe's ``data``.

    Raises:
        InputError: an unknown task or key, or a wrong value.
    """
    kind, settings = task_class(name), as_mapping(raw, "data")
    places = [field.name for field in settings_of(DataConfig)]
    refuse_unknown(settings, [*places, *(field.name for field in settings_of(kind))], "data")
    given = {name: settings.pop(name) for name in places if name in settings}
    task = LENIENT.settings(kind, settings, "data")
    return task, LENIENT.settings(DataConfig, given, "data")


def located(data: DataConfig, folder: Path) -> DataConfig:
    """The data with the paths of its files and folders made absolute.

    Raises:
        InputError: a file is missing or of a kind that is not read.
    """
    found: dict[str, Any] = {
        name: locate_data(source, folder, f"data.{name}")
        for name in ("train", "validation", "test")
        if (source := getattr(data, name)) is not None
    }
    train = found["train"]
    if data.name is not None and (isinstance(train, list) or Path(train).is_file()):
        raise InputError(
            f"data.name picks a configuration of a data set, but data.train is a file: "
            f"remove data.name ({data.name!r})"
        )
    return replace(data, **found)
