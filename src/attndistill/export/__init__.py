"""Save the student as a plain Hugging Face model."""

from .student_folder import check_replaceable, save_student

__all__ = ["check_replaceable", "save_student"]
