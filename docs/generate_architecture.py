"""Write docs/architecture.md and its picture: rooms, imports and the main path, from the code."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "attndistill"
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "figures" / "architecture.svg"
sys.path.insert(0, str(ROOT / "tests"))

from test_architecture import ROOMS  # noqa: E402

# A module or a name in one, as the parts of its path below attndistill.
Dotted = tuple[str, ...]
Point = tuple[float, float]


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
        0,
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
        1,
        ("outputs, fidelity,", "costs of models"),
    ),
    "metrics": Room(
        "numbers in, numbers with intervals out; no models", 2, ("scores and their", "intervals")
    ),
    "export": Room(
        "writes the student as a plain Hugging Face folder", 3, ("a plain Hugging", "Face folder")
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
        1,
        ("weighted terms over", "counted items"),
    ),
    "matching": Room(
        "which teacher layer and head teaches which student layer and head",
        1,
        ("teacher layer and head", "→ student’s"),
    ),
    "students": Room(
        "`build_student`, from kept layers or from a smaller config",
        4,
        ("kept layers, or a", "smaller config"),
    ),
    "capture": Room(
        "records queries, keys and values inside a model, under any attention backend; "
        "`architectures/` is the one place that knows module paths",
        1,
        ("queries and keys,", "under any backend"),
    ),
    "ops": Room(
        "the mathematics, relation × divergence × backend: `blockwise/` and `triton/` are the "
        "backends; imports torch only",
        1,
        ("relation × divergence", "× backend"),
    ),
    "console": Room("what a command prints on the way"),
    "reading": Room("plain data (YAML, JSON) into annotated dataclasses and back"),
    "choices": Room("named choices, whose error lists them"),
    "errors": Room("`InputError`, `ObjectiveError`, and what their messages are made of"),
    "lazy": Room("names that a package loads on first use"),
}
TRAINS = ("cli", "recipes", "training", "objectives", "capture", "ops")
REPORTS = ("export", "measure", "metrics", "report")


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
        "claims the output folder and runs every step below; the whole recipe is read here",
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

TEXT = """# Architecture

Written by `python docs/generate_architecture.py` from the code; a test fails when this page or the
picture no longer matches it. [Decision 5](adr/0005-rooms-and-names.md) says why the layout is as it
is.

## Rooms

A room is a folder (or one file) directly under `src/attndistill`. Imports only go down this table,
which `tests/test_architecture.py` checks.

| room | what it is for | imports |
|---|---|---|
{rooms}

![The rooms and what they import](figures/architecture.svg)

An arrow points from a room to one that it imports. An import that follows from other arrows is not
drawn, nor are the five files at the bottom, on which most rooms rest; the table has them all.

## From a recipe to the kernel

`attndistill run RECIPE.yaml` passes through these files, each with the function called there.

| | file | function | called from | what it does and hands on |
|---|---|---|---|---|
{down}

The backward pass needs no file of its own: the blockwise pass forms the student's gradients in the
forward, and autograd carries them through the recorded queries and keys into the student's weights.

## And back, to the report

| | file | function | called from | what it does and hands on |
|---|---|---|---|---|
{back}
"""


def page() -> str:
    """The whole page."""
    number = len(DOWN) + 1
    return TEXT.format(
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
        if not reaches(hop.caller, module_of(hop.file)):
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


def module_of(file: str) -> Dotted:
    """``recipes/running.py`` as a module's path; a package's ``__init__`` is the package."""
    return tuple(part for part in file.removesuffix(".py").split("/") if part != "__init__")


def imported(file: str) -> Iterator[Dotted]:
    """All that a file imports from the package, wherever in it: modules, and names in them."""
    own = ("attndistill", *file.split("/")[:-1])
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom):
            base = own[: len(own) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            targets = [(*base, *module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        yield from (target[1:] for target in targets if target[0] == "attndistill")


def reaches(file: str, module: Dotted) -> bool:
    """Whether a file imports a module or a name in it, directly or from a package above it."""
    for target in imported(file):
        if target[: len(module)] == module:
            return True
        for end in range(1, len(module)):
            from_package = target[:end] == module[:end] and len(target) <= end + 1
            init = "/".join((*module[:end], "__init__.py"))
            if from_package and any(name[: len(module)] == module for name in imported(init)):
                return True
    return False


def imports_between_rooms() -> dict[str, set[str]]:
    """The other rooms that each room imports."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        room = file.split("/")[0].removesuffix(".py")
        if room in found:
            found[room] |= {target[0] for target in imported(file) if target} & set(ROOMS)
    return {room: others - {room} for room, others in found.items()}


# The picture: boxes by floor, drawn as plain SVG.

WIDTH, HEIGHT, ACROSS, DOWNWARDS, MARGIN = 156, 64, 196, 104, 24
COLOURS = {"trains": "#d9e8fb", "reports": "#dcf1df", "other": "#f1f1f1"}


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


def places() -> dict[str, Point]:
    """The middle of each box: a room stands one floor below the lowest that imports it."""
    floors: dict[str, int] = {}
    pairs = arrows()
    for room in ROOMS:
        if PURPOSES[room].column is not None:
            above = [floors[upper] for upper, lower in pairs if lower == room]
            floors[room] = 1 + max(above, default=-1)
    return {
        room: (
            MARGIN + WIDTH / 2 + (PURPOSES[room].column or 0) * ACROSS,
            MARGIN + HEIGHT / 2 + floor * DOWNWARDS,
        )
        for room, floor in floors.items()
    }


def ends(upper: Point, lower: Point) -> tuple[Point, Point]:
    """Where an arrow leaves the bottom of one box, and where it meets the top of another."""
    (x, y), (x2, y2) = upper, lower
    lean = max(-1.0, min(1.0, (x2 - x) / (3 * ACROSS))) * WIDTH * 0.4
    return (x + lean, y + HEIGHT / 2), (x2 - lean, y2 - HEIGHT / 2)


def picture() -> str:
    """The picture as SVG."""
    where = places()
    width = max(x for x, _ in where.values()) + WIDTH / 2 + MARGIN
    height = max(y for _, y in where.values()) + HEIGHT / 2 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, sans-serif">',
        "<title>The rooms of attndistill and what they import</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    parts += [arrow(*ends(where[upper], where[lower])) for upper, lower in arrows()]
    parts += [box(room, *place) for room, place in where.items()]
    parts += legend(width, height)
    return "\n".join([*parts, "</svg>", ""])


def arrow(start: Point, end: Point) -> str:
    """A line with a head."""
    (x, y), (x2, y2) = start, end
    length = ((x2 - x) ** 2 + (y2 - y) ** 2) ** 0.5
    across, along = (x2 - x) / length, (y2 - y) / length
    back_x, back_y = x2 - 9 * across, y2 - 9 * along
    head = (
        f"{x2:.1f},{y2:.1f} {back_x - 4 * along:.1f},{back_y + 4 * across:.1f} "
        f"{back_x + 4 * along:.1f},{back_y - 4 * across:.1f}"
    )
    return (
        f'<path d="M{x:.1f} {y:.1f}L{back_x:.1f} {back_y:.1f}" stroke="#666666" '
        f'stroke-width="1.5" fill="none"/><polygon points="{head}" fill="#666666"/>'
    )


def box(room: str, x: float, y: float) -> str:
    """A room."""
    kind = "trains" if room in TRAINS else "reports" if room in REPORTS else "other"
    first, second = PURPOSES[room].caption
    return "\n".join(
        [
            f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="7" fill="{COLOURS[kind]}" stroke="#8a8a8a"/>',
            written(room, x, y - 12, size=15, weight="bold"),
            written(first, x, y + 7),
            written(second, x, y + 22),
        ]
    )


def written(text: str, x: float, y: float, *, size: int = 12, weight: str = "normal") -> str:
    """Text around a point."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="#1a1a1a" '
        f'text-anchor="middle">{escape(text)}</text>'
    )


def legend(width: float, height: float) -> list[str]:
    """What the colours say, in the free corner."""
    entries = {
        "trains": "on the way to the kernel",
        "reports": "on the way to the report",
        "other": "beside both",
    }
    parts = []
    for row, (kind, text) in enumerate(entries.items()):
        x, y = width - 240, height - 80 + 24 * row
        parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="20" height="14" rx="3" fill="{COLOURS[kind]}" '
            f'stroke="#8a8a8a"/><text x="{x + 30:g}" y="{y + 12:g}" font-size="13" '
            f'fill="#1a1a1a">{text}</text>'
        )
    return parts


def main() -> None:
    """Check the path against the code, and write page and picture."""
    check_path(DOWN + BACK)
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
