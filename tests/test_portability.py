"""The library imports and computes without what macOS and Windows lack."""

import subprocess
import sys

WITHOUT_LINUX = """
import os, sys
from pathlib import Path
sys.modules.update(triton=None, pynvml=None)
del os.sched_getaffinity
real_exists, real_open = Path.exists, Path.open
def elsewhere(path):
    return not str(path).startswith(("/proc", "/sys"))
def open_elsewhere(path, *args, **kwargs):
    if not elsewhere(path):
        raise FileNotFoundError(path)
    return real_open(path, *args, **kwargs)
Path.exists = lambda path, **options: elsewhere(path) and real_exists(path, **options)
Path.open = open_elsewhere

import torch
from attndistill import DistillationArguments, DistillationTrainer, build_student
from attndistill.measure import detect_environment
from attndistill.ops import Relation, attention_divergence
query, key = torch.randn(2, 1, 3, 5, 8).unbind()
query.requires_grad_()
attention_divergence(Relation(query, key, 1.0), Relation(key, key, 1.0)).mean().backward()
assert query.grad.norm() > 0
found = detect_environment()
assert found.device.name and found.device.cores >= 1
print("works")
"""


def test_ops_and_trainer_need_nothing_that_only_linux_has():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LINUX], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("works"), done.stderr[-2000:]
