"""Write docs/architecture.md and its picture: rooms, imports and the main path, from the code."""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "figures" / "architecture.svg"
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tests")]

from draw_rooms import Box, draw_rooms  # noqa: E402
from test_architecture import MODULES, PACKAGE, ROOMS, imports, module_of  # noqa: E402


@dataclass(frozen=True)
class Room:
    """What a room is for.

    Attributes:
        purpose: one line for the page.
        column: where its box stands; None keeps it out of the picture.
        caption: two short lines for the box.
    """

    purpose: str
    column: float | None = None
    caption: tuple[str, str] = ("", "")


PURPOSES = {
    "cli": Room("the command line: parses, calls, prints", 2, ("parses, calls,", "prints")),
    "bench": Room(
        "time and memory of losses and training steps, beside their rivals",
        0.5,
        ("times the losses", "and their rivals"),
    ),
    "recipes": Room(
        "a recipe becomes a trained, saved and measured student: `load_recipe`, `run`, `compare`, "
        "`doctor`; `config/` checks the YAML, `data/` reads the rows, `models/` loads the models",
        2,
        ("YAML in, a measured", "student out"),
    ),
    "tasks": Room(
        "one file per task: its columns, batches, labels and metric",
        1,
        ("columns, batches,", "labels, metric"),
    ),
    "report": Room(
        "one `RunReport` as JSON, page and terminal tables; reads measurements, measures nothing",
        2,
        ("report.json and", "report.html"),
    ),
    "measure": Room(
        "runs models to measure them: outputs, attention fidelity, latency, memory, FLOPs, energy",
        0.5,
        ("outputs, fidelity,", "costs of models"),
    ),
    "metrics": Room(
        "numbers in, numbers with intervals out; no models", 1.5, ("scores and their", "intervals")
    ),
    "export": Room(
        "writes the student as a plain Hugging Face folder", 4, ("a plain Hugging", "Face folder")
    ),
    "training": Room(
        "`DistillationTrainer` and `Distiller`: both forwards and the loss inside a training loop; "
        "checkpoints, adapters, where the teacher runs",
        0,
        ("both forwards, one", "loss, Trainer’s loop"),
    ),
    "objectives": Room(
        "weighted terms (task, logits, attention, relation): what they count, their sum, and the "
        "guard against terms that teach nothing",
        0,
        ("weighted terms over", "counted items"),
    ),
    "matching": Room(
        "which teacher layer and head teaches which student layer and head",
        0,
        ("which layer and head", "teaches which"),
    ),
    "students": Room(
        "`build_student`, from kept layers or from a smaller config",
        3,
        ("kept layers, or a", "smaller config"),
    ),
    "capture": Room(
        "records queries, keys and values inside a model, under any attention backend; "
        "`architectures/` is the one place that knows module paths",
        0,
        ("queries and keys,", "under any backend"),
    ),
    "ops": Room(
        "the mathematics, relation × divergence × backend: `blockwise/` and `triton/` are the "
        "backends; of other packages it imports torch only",
        0,
        ("relation × divergence", "× backend"),
    ),
    "console": Room("what a command prints on the way"),
    "reading": Room("plain data (YAML, JSON) into annotated dataclasses and back"),
    "choices": Room("named choices, whose error lists them"),
    "errors": Room("`InputError`, `ObjectiveError`, and what their messages are made of"),
    "lazy": Room("names that a package loads on first use"),
}


@dataclass(frozen=True)
class Hop:
    """One file of the main path.

    Attributes:
        file: below src/attndistill.
        function: the function (``Class.method``) called there.
        caller: the file of an earlier hop that calls it.
        does: what it does, and what it hands on.
    """

    file: str
    function: str
    caller: str | None
    does: str


DOWN = [
    Hop("cli.py", "run", None, "takes the recipe's path and overrides from the command line"),
    Hop(
        "recipes/config/recipe.py",
        "load_recipe",
        "cli.py",
        "reads and checks the YAML; hands back a frozen `Recipe`",
    ),
    Hop(
        "recipes/running.py",
        "run",
        "cli.py",
        "claims the output folder and runs every step below: the file to read first",
    ),
    Hop(
        "recipes/setup.py",
        "prepare",
        "recipes/running.py",
        "loads rows and teacher, checks that all fits together with one dry step, fine-tunes the "
        "teacher if asked; hands back `Prepared`",
    ),
    Hop(
        "recipes/build.py",
        "make_trainer",
        "recipes/running.py",
        "makes the trainer of student, teacher, data and objective",
    ),
    Hop(
        "training/trainer.py",
        "DistillationTrainer.compute_loss",
        "recipes/build.py",
        "Transformers' training loop calls it for each micro-batch, when the items of the whole "
        "optimizer step are counted; hands back the loss to differentiate",
    ),
    Hop(
        "training/distiller.py",
        "Distiller.step",
        "training/trainer.py",
        "runs teacher and student on the batch, each under capture; hands back a `Step` with "
        "outputs and attention records",
    ),
    Hop(
        "capture/context.py",
        "capture",
        "training/distiller.py",
        "chooses the layers to record and yields the list that each forward fills",
    ),
    Hop(
        "capture/interface.py",
        "recording",
        "capture/context.py",
        "wraps the attention function in use under its own name, and restores it on exit",
    ),
    Hop(
        "capture/recorder.py",
        "Recorder.record",
        "capture/interface.py",
        "keeps query, key, scale, mask and bias of one attention call as an `AttentionRecord`",
    ),
    Hop(
        "objectives/plan.py",
        "ObjectivePlan.loss",
        "training/trainer.py",
        "adds up weight · total / count over the terms fitted to both models",
    ),
    Hop(
        "objectives/fitted_layers.py",
        "FittedLayerwiseTerm.total",
        "objectives/plan.py",
        "compares each pair of layers that the layer map names; hands on one `Relation` per side "
        "and the rows that count",
    ),
    Hop(
        "ops/api.py",
        "attention_divergence",
        "objectives/fitted_layers.py",
        "checks that both sides fit together and states the comparison as a `Problem`",
    ),
    Hop(
        "ops/dispatch.py",
        "dispatch",
        "ops/api.py",
        "chooses the backend in one `match`: `reference`, `blockwise` or `triton`",
    ),
    Hop(
        "ops/blockwise/backend.py",
        "blockwise",
        "ops/dispatch.py",
        "the kernel: forms scores, row values and gradients tile by tile; hands back a `LossSum`, "
        "the sum over rows and their number",
    ),
]
BACK = [
    Hop(
        "export/student_folder.py",
        "save_student",
        "recipes/running.py",
        "writes the trained student with its tokenizer or processor",
    ),
    Hop(
        "recipes/measuring.py",
        "measure",
        "recipes/running.py",
        "measures the student against its teacher on the test rows (the task's `assess` gives "
        "quality) and puts the `RunReport` together",
    ),
    Hop(
        "measure/costs.py",
        "measure_costs",
        "recipes/measuring.py",
        "latency, FLOPs, memory and energy of both models",
    ),
    Hop(
        "measure/fidelity.py",
        "attention_fidelity",
        "recipes/measuring.py",
        "how far the student's attention is from its teacher's, layer by layer and head by head",
    ),
    Hop(
        "metrics/quality.py",
        "quality_of",
        "recipes/measuring.py",
        "the scores with their intervals, and the share of the teacher's that is kept",
    ),
    Hop(
        "report/files.py",
        "write_report",
        "recipes/running.py",
        "writes `report.html` and `report.json` into the run's folder",
    ),
]


def page() -> str:
    """The whole page."""
    number = len(DOWN) + 1
    template = Path(__file__).with_name("architecture.in.md").read_text(encoding="utf-8")
    return template.format(
        rooms="\n".join(room_row(room) for room in ROOMS),
        down="\n".join(line(n, hop) for n, hop in enumerate(DOWN, 1)),
        back="\n".join(line(n, hop) for n, hop in enumerate(BACK, number)),
    )


def room_row(room: str) -> str:
    """One row of the table of rooms."""
    imported = ", ".join(sorted(imports_between_rooms()[room], key=ROOMS.index)) or "–"
    folder = (PACKAGE / room).is_dir()
    name = f"{room}/" if folder else f"{room}.py"
    return f"| [`{name}`](../src/attndistill/{name}) | {PURPOSES[room].purpose} | {imported} |"


def line(number: int, hop: Hop) -> str:
    """One row of the table of the path."""
    link = f"[`{hop.file}`](../src/attndistill/{hop.file})"
    caller = f"`{hop.caller}`" if hop.caller else "the shell"
    return f"| {number} | {link} | `{hop.function}` | {caller} | {hop.does} |"


def check_path(hops: list[Hop]) -> None:
    """Fail on a path that the code does not have.

    Raises:
        ValueError: a function or import is missing, or a file is named twice.
    """
    files = [hop.file for hop in hops]
    for place, hop in enumerate(hops):
        if hop.file in files[:place]:
            raise ValueError(f"{hop.file} is named twice")
        if hop.function not in functions(hop.file):
            raise ValueError(f"{hop.file} has no function {hop.function}")
        if hop.caller is None:
            continue
        if hop.caller not in files[:place]:
            raise ValueError(f"{hop.file} is called from {hop.caller}, which is not before it")
        if not reaches(PACKAGE / hop.caller, PACKAGE / hop.file):
            raise ValueError(f"{hop.caller} does not import {hop.file}")
        if not set(hop.function.split(".")) & words(hop.caller):
            raise ValueError(f"{hop.caller} does not name {hop.function}")


def parsed(file: str) -> ast.Module:
    """The syntax tree of a file below the package."""
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def functions(file: str) -> set[str]:
    """The functions of a file, and the methods of its classes as ``Class.method``."""
    found = set()
    for node in parsed(file).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            parts = (part for part in node.body if isinstance(part, ast.FunctionDef))
            found |= {f"{node.name}.{part.name}" for part in parts}
    return found


def words(file: str) -> set[str]:
    """The names and attributes that the code of a file uses."""
    nodes = list(ast.walk(parsed(file)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def reaches(caller: Path, callee: Path) -> bool:
    """Whether a file imports another or a name in it, directly or from a package above it."""
    module = module_of(callee)
    targets = {target for pair in imports(caller) for target in (pair[0], ".".join(pair))}
    packages = {each for each in targets if "." in each and module.startswith(f"{each}.")}
    return module in targets or any(
        caller != MODULES[package] and reaches(MODULES[package], callee) for package in packages
    )


def imports_between_rooms() -> dict[str, set[str]]:
    """The other rooms that each room imports."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module, file in MODULES.items():
        room = room_of(module)
        if room in found:
            targets = {target for pair in imports(file) for target in (pair[0], ".".join(pair))}
            found[room] |= {room_of(target) for target in targets} & set(ROOMS) - {room}
    return found


def room_of(module: str) -> str:
    """The room of a module; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def arrows() -> list[tuple[str, str]]:
    """The imports drawn: those of rooms in the picture that do not follow from others."""
    drawn = [room for room in ROOMS if PURPOSES[room].column is not None]
    below = {room: others & set(drawn) for room, others in imports_between_rooms().items()}
    reachable: dict[str, set[str]] = {}
    for room in reversed(drawn):
        reachable[room] = below[room].union(*(reachable[other] for other in below[room]))
    return [
        (room, other)
        for room in drawn
        for other in sorted(below[room], key=ROOMS.index)
        if not any(other in reachable[between] for between in below[room])
    ]


def boxes() -> dict[str, Box]:
    """The boxes of the picture, each one floor below the lowest that imports it."""
    kinds = {hop.file.split("/")[0].removesuffix(".py"): "reports" for hop in BACK}
    kinds |= {hop.file.split("/")[0].removesuffix(".py"): "trains" for hop in DOWN}
    found: dict[str, Box] = {}
    pairs = arrows()
    for room, said in ((room, PURPOSES[room]) for room in ROOMS):
        if said.column is not None:
            above = [found[upper].floor for upper, lower in pairs if lower == room]
            found[room] = Box(
                name=room,
                caption=said.caption,
                column=said.column,
                floor=1 + max(above, default=-1),
                kind=kinds.get(room, "other"),
            )
    return found


def picture() -> str:
    """The picture as SVG."""
    return draw_rooms(boxes(), arrows())


def main() -> None:
    """Check the path against the code, and write page and picture."""
    check_path(DOWN + BACK)
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
