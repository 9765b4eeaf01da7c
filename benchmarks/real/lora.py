"""Adapters against full training of the same student: quality, parameters, memory and time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sources import MADE, MINILM, note_commit, reviews, write_splits

ROWS = {"train": 4_000, "validation": 500, "test": 2_500}
RECIPE = "benchmarks/real/lora.yaml"
OUTPUT = Path("runs/lora")
# The first run fine-tunes the teacher, so that no other run's figures hold that.
WAYS = {
    "teacher": ["training.max_steps=1"],
    "adapters": [],
    "full": ["student.lora=null", "training.learning_rate=5e-5"],  # each its usual learning rate
}


def run() -> int:
    """Train both ways, each in a process of its own, whose peak memory and time are kept."""
    note_commit("lora")
    write_splits(reviews()[["text", "label"]], ROWS, MADE / "reviews")
    teacher = f"teacher.model={MINILM}"
    for way, settings in WAYS.items():
        folder = OUTPUT / way
        if (folder / "process.json").is_file():
            continue
        shutil.rmtree(folder, ignore_errors=True)  # one that was stopped: half has no figures
        command = [sys.executable, "-m", "attndistill", "run", RECIPE]
        command += ["--output-dir", str(folder), "--set", teacher]
        for setting in settings:
            command += ["--set", setting]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            return os.waitstatus_to_exitcode(status)
        figures = {
            "peak_memory_mib": usage.ru_maxrss / 1024,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        }
        (folder / "process.json").write_text(json.dumps(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run())
