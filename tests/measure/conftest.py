"""The tiny models and rows that are measured here."""

from measured_models import collator, dataset, student, teacher, texts, tokenizer

__all__ = ["collator", "dataset", "student", "teacher", "texts", "tokenizer"]
