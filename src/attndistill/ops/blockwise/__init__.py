"""The blockwise backend: any device, nothing of size queries × keys."""

from .backend import blockwise

__all__ = ["blockwise"]
