"""Image classification: one class for a picture."""

import io
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset, Image
from PIL.Image import open as open_image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..errors import InputError, data_rows, shown
from ..measure import Collator, predict
from ..metrics import Assessment, assess_classes
from .columns import Table, check_classes, check_roles, number_classes, pick_columns
from .encoded import Data, Split
from .labels import LabelMap, match_labels
from .task import Scorer, Task

END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, kw_only=True)
class ImageColumns:
    """The data's columns by their role; in a folder of pictures by class they have these names."""

    image: str = "image"
    label: str = "label"

    def __post_init__(self) -> None:
        check_roles(self.image, self.label)


@dataclass(frozen=True, kw_only=True)
class ImageClassification(Task):
    """Image classification with ``AutoModelForImageClassification``.

    Pictures are opened batch by batch and brought to the teacher's size by its image processor.
    ``metric`` takes logits [N, C] and labels [N].

    Attributes:
        columns: which column is what.
    """

    name: ClassVar[str] = "image-classification"
    processor_class: ClassVar[Any] = AutoImageProcessor
    has_own_head: ClassVar[bool] = True
    raw_columns: ClassVar[bool] = True

    columns: ImageColumns = ImageColumns()

    @property
    def _selection(self) -> Mapping[str, bool]:
        return {"accuracy": True, "macro_f1": True}

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model with a classification head."""
        return AutoModelForImageClassification

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Pictures and their classes."""
        roles = {"image": self.columns.image, "label": self.columns.label}
        tables = {}
        for split, dataset in datasets.items():
            source = f"data.{split}"
            rows = pick_columns(dataset, roles, source)
            rows = _with_pictures(rows, self.columns.image, source)
            check_classes(list(rows["label"]), self.columns.label, source)
            tables[split] = Table(rows=rows, source=source)
        return number_classes(tables)

    def labels(self, train: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap:
        """The classes."""
        return match_labels(train, config, trained=trained)

    def fit_processor(self, processor: Any, path: str) -> None:
        """Any image processor will do."""

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """The pictures as they are stored, and ``labels``."""
        assert labels is not None, "image classification has classes"
        rows = table.rows.select_columns("image").add_column("labels", labels.encode(table))
        stored = rows.cast_column("image", Image(decode=False))
        opened = stored.with_transform(partial(_opened, source=table.source))
        return Split(rows=opened, table=table)

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        mode = "L" if getattr(model.config, "num_channels", 3) == 1 else "RGB"

        def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            pictures = [row["image"].convert(mode) for row in rows]
            pixels = processor(pictures, return_tensors="pt")["pixel_values"]
            return {"pixel_values": pixels, "labels": torch.tensor([row["labels"] for row in rows])}

        return collate

    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
    ) -> Assessment:
        logits = predict(model, data.test.rows, data.collator, description=description)
        return self._scorer(data, data.test)(logits, np.array(data.test.rows["labels"]))

    def _scorer(self, data: Data, split: Split) -> Scorer:
        return self.metric or assess_classes

    def contents(self, split: Split) -> Iterator[bytes]:
        """The bytes of the files, and the classes."""
        yield from map(_bytes, _stored(split.rows))
        yield str(list(split.rows["labels"])).encode()

    def strata(self, table: Table) -> list[Any]:
        """The classes."""
        return table.column("label")

    def keys(self, table: Table) -> list[Hashable]:
        """The bytes of the files, whatever their names."""
        return [sha256(_bytes(stored)).digest() for stored in _stored(table.rows)]


def _with_pictures(rows: Dataset, column: str, source: str) -> Dataset:
    """The rows with their column of pictures, paths of image files or bytes as pictures."""
    if not isinstance(rows.features["image"], Image):
        try:
            rows = rows.cast_column("image", Image())
        except Exception as error:  # noqa: BLE001 - pyarrow's errors have no common base
            raise InputError(
                f"{source}: column {column!r} must hold pictures or paths of image files, but it "
                f"holds {shown(rows[0]['image'])}"
            ) from error
    for row, stored in enumerate(_stored(rows)):
        if stored is None:
            raise InputError(f"{source}: column {column!r} is empty in {data_rows([row])}")
        try:
            _check_picture(_bytes(stored))
        except Exception as error:  # noqa: BLE001 - Pillow's errors have no common base
            raise InputError(
                f"{source}: {data_rows([row])}{_named(stored)} is no picture that can be opened: "
                f"{_reason(error)}"
            ) from error
    return rows


def _check_picture(content: bytes) -> None:
    """Fail on a picture that is cut off; it is decoded only where no cheaper check will do."""
    with open_image(io.BytesIO(content)) as picture:
        match picture.format:
            case "JPEG" if content.rstrip(b"\0").endswith(END_OF_JPEG):
                return
            case "PNG":
                # Pillow compares checksums; some pictures with wrong ones can be decoded.
                with suppress(Exception):
                    return picture.verify()
    with open_image(io.BytesIO(content)) as picture:
        picture.load()


def _opened(rows: dict[str, list[Any]], *, source: str) -> dict[str, list[Any]]:
    """Rows with their pictures decoded."""
    if "image" not in rows:
        return rows
    return {**rows, "image": [_decoded(stored, source) for stored in rows["image"]]}


def _decoded(stored: dict[str, Any], source: str) -> Any:
    try:
        return Image().decode_example(stored)
    except Exception as error:  # noqa: BLE001 - Pillow's errors have no common base
        raise InputError(
            f"{source}: a picture{_named(stored)} cannot be read: {_reason(error)}"
        ) from error


def _named(stored: Mapping[str, Any]) -> str:
    return f" ({stored['path']})" if stored["path"] else ""


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _stored(rows: Any) -> Iterable[dict[str, Any]]:
    """The pictures as they are stored: each its bytes, or the path of its file."""
    return rows.with_format(None).cast_column("image", Image(decode=False))["image"]


def _bytes(stored: Mapping[str, Any]) -> bytes:
    return stored["bytes"] or Path(stored["path"]).read_bytes()
