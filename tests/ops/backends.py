"""The backends that are held to the reference, and what each can be asked to do."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import assume
from ops.inputs import Inputs
from ops.strategies import DTYPES, Case

from attndistill.ops import Divergence, Masks
from attndistill.ops.dispatch import triton_unsupported
from attndistill.ops.problem import make_problem


class Backend(NamedTuple):
    """How a comparison is computed, and where."""

    impl: str
    device: str

    @property
    def dtypes(self) -> list[torch.dtype]:
        return [d for d in DTYPES if self.impl != "triton" or d != torch.float64]

    @property
    def plain(self) -> bool:
        """Whether it does without bias, softcap, sinks and arbitrary masks."""
        return self.impl == "triton"

    def can(self, kind: str, dtype: torch.dtype = torch.float32) -> bool:
        return dtype in self.dtypes and not (self.impl == "triton" and kind == "score_mse")

    def assume_supported(self, case: Case, inputs: Inputs) -> None:
        """Gives up a drawn case that the backend refuses."""
        if self.impl == "triton":
            masks = "equal" if case.teacher_mask is None else "intersect"
            problem = make_problem(
                inputs.student,
                inputs.teachers,
                rows=None,
                divergence=Divergence(case.kind),
                temperature=1.0,
                masks=Masks(masks),
            )
            assume(triton_unsupported(problem) is None)


def _parameter(impl: str, device: str):
    marks = [pytest.mark.gpu] if device == "cuda" else []
    return pytest.param(Backend(impl, device), marks=marks, id=f"{impl}-{device}")


CPU = Backend("blockwise", "cpu")
EXACT_BACKENDS, BACKENDS = [_parameter(*CPU)], [_parameter(*CPU)]
if torch.cuda.is_available():
    EXACT_BACKENDS += [_parameter("blockwise", "cuda")]
    BACKENDS += [_parameter("blockwise", "cuda"), _parameter("triton", "cuda")]
