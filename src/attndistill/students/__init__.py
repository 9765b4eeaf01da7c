"""Make the student."""

from .build import build_student

__all__ = ["build_student"]
