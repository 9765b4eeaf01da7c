"""Make the student."""

from .building import build_student

__all__ = ["build_student"]
