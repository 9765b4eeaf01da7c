"""Hand the student over as a plain Hugging Face model."""

from .student import save_student

__all__ = ["save_student"]
