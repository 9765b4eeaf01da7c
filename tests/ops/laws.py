"""How laws are checked: on drawn cases of a kind, with a few of their fields fixed."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from ops.backends import CPU
from ops.inputs import make_inputs
from ops.strategies import KINDS, cases

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
IMPL = CPU.impl


def law(kind, **fixed):
    """Runs a check on drawn cases of a kind, with these fields fixed."""

    def run(check):
        @given(case=cases(kind))
        @settings(max_examples=25, deadline=None, derandomize=True, database=None)
        def on_cases(case):
            case = replace(case, **fixed)
            check(case, make_inputs(case))

        on_cases()

    return run


def assert_same(result, expected):
    for name, wanted in expected.items():
        size = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
        torch.testing.assert_close(result[name], wanted, rtol=1e-8, atol=1e-10 * size, msg=name)
