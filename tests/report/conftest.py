"""The report of tiny models, and what it is made from."""

from measured_models import (
    changed,
    collator,
    dataset,
    report,
    student,
    teacher,
    texts,
    tokenizer,
)

__all__ = ["changed", "collator", "dataset", "report", "student", "teacher", "texts", "tokenizer"]
