"""Recipes: YAML in, a trained, saved and measured student out.

The names below load on first use: listing the library's recipes needs no models.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .checkup import doctor
    from .comparing import compare
    from .config.recipe import load_recipe
    from .running import run

__all__ = ["compare", "doctor", "load_recipe", "run"]

__getattr__ = lazy_names(
    __name__,
    {
        "compare": "comparing",
        "doctor": "checkup",
        "load_recipe": "config.recipe",
        "run": "running",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
