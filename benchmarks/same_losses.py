"""Whether a change leaves training as it was: the demo's attention arm for 30 steps, bit by bit.

.venv/bin/python benchmarks/same_losses.py FILE.json     # at the old commit: writes FILE.json
.venv/bin/python benchmarks/same_losses.py FILE.json     # at the new one: compares with it

Losses and weights are compared to the last bit, so both runs must be made on one machine.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from demo import RECIPE, TEACHER, write_data  # noqa: E402

from attndistill.cli import main  # noqa: E402

RUN = Path("runs/same-losses/run")
SETTINGS = (
    f"teacher.model={TEACHER}",
    "teacher.train.max_steps=20",
    "training.max_steps=30",
    "training.logging_steps=1",
    "training.eval_strategy=no",
    "training.save_strategy=no",
    "training.load_best_model_at_end=false",
    "data.test=runs/demo-data/validation.csv",
)


def train() -> dict[str, str]:
    """Losses by step and term, and a digest of the student's weights, as exact text."""
    torch.set_num_threads(2)
    write_data()
    for folder in (RUN, RUN.parent / "teachers"):
        shutil.rmtree(folder, ignore_errors=True)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    if main(["run", str(RECIPE), "--output-dir", str(RUN), *settings]) != 0:
        raise SystemExit("the run failed")
    report = json.loads((RUN / "report.json").read_text(encoding="utf-8"))
    found = {
        f"step {entry['step']} {name}": float(value).hex()
        for entry in report["training"]["history"]
        for name, value in entry.items()
        if name in ("loss", "grad_norm") or name.startswith("loss_")
    }
    weights = (RUN / "student" / "model.safetensors").read_bytes()
    return found | {"student's weights": hashlib.sha256(weights).hexdigest()}


def compare(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What differs, each with both values."""
    names = dict.fromkeys([*before, *now])
    return [f"{n}: {before.get(n)} → {now.get(n)}" for n in names if before.get(n) != now.get(n)]


def run(file: Path) -> int:
    """Train, then write the file, or compare with it where it is there."""
    now = train()
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(now, indent=1), encoding="utf-8")
        print(f"Wrote {file}: {len(now)} values")
        return 0
    differences = compare(json.loads(file.read_text(encoding="utf-8")), now)
    for difference in differences:
        print(difference)
    print("different" if differences else f"the same, all {len(now)} values, as in {file}")
    return 1 if differences else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    sys.exit(run(Path(sys.argv[1])))
