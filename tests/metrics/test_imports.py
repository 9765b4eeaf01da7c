"""Metrics are numbers in, numbers out: they load no models, no torch and no report."""

import subprocess
import sys

CODE = """
import sys, attndistill.metrics
heavy = {"torch", "transformers", "attndistill.report", "attndistill.measure"}
assert heavy.isdisjoint(sys.modules), heavy & set(sys.modules)
"""


def test_metrics_load_no_models():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
