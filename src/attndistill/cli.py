"""The command line: parse, call, print. Heavy imports are inside the commands."""

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .errors import InputError, ObjectiveError, readable

if TYPE_CHECKING:
    from .recipes.config.recipe import Recipe

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    help="Attention distillation: a small transformer learns a big one's attention.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="The recipe.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=value", help="Override a line of the recipe; repeatable."),
]
OutputDir = Annotated[
    str | None, typer.Option("--output-dir", help="The run's folder, in place of the recipe's.")
]

bench = typer.Typer(
    help="Time and memory of the losses and of training steps, beside their rivals.",
    no_args_is_help=True,
)
app.add_typer(bench, name="bench")
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda; by default the GPU if there is one.")
]
Quick = Annotated[bool, typer.Option("--quick", help="A few small cases, in under 5 minutes.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="CONTENDER", help="Measure this one; repeatable."),
]
Output = Annotated[Path | None, typer.Option("--output", help="The CSV file to write.")]
Commit = Annotated[
    str | None, typer.Option(help="Recorded in the CSV; by default that of the source tree.")
]


class _Interrupted(Exception):
    """Ctrl-C within a command; carries how to continue."""


def _resumable(how: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(*args: object, **kwargs: object) -> None:
            try:
                command(*args, **kwargs)
            except KeyboardInterrupt:
                raise _Interrupted(how) from None

        return wrapped

    return decorate


@app.command()
@_resumable("the same command with --resume continues from the last checkpoint")
def run(
    recipe: RecipeFile,
    settings: Settings = None,
    output_dir: OutputDir = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the newest complete checkpoint.")
    ] = False,
) -> None:
    """Distil a student: train, save, evaluate, report."""
    loaded = _loaded(recipe, settings, output_dir)
    from . import recipes
    from .report import print_report

    print_report(recipes.run(loaded, resume=resume))


@app.command()
@_resumable("nothing was written")
def doctor(recipe: RecipeFile, settings: Settings = None, output_dir: OutputDir = None) -> None:
    """Check a recipe, its data and its models without training."""
    loaded = _loaded(recipe, settings, output_dir)
    from . import recipes

    recipes.doctor(loaded)


@app.command()
@_resumable("the same command continues where it stopped")
def compare(
    recipe: RecipeFile,
    seeds: Annotated[int, typer.Option("--seeds", help="Training seeds per arm.")] = 3,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="TERM+TERM",
            help="Compare the full objective with these terms only; repeatable.",
        ),
    ] = None,
    settings: Settings = None,
    output_dir: OutputDir = None,
) -> None:
    """Train with the objective's terms added one after another, over several seeds."""
    loaded = _loaded(recipe, settings, output_dir)
    from . import recipes
    from .report import print_report

    print_report(recipes.compare(loaded, seeds=seeds, chosen=arm or ()))


def _loaded(recipe: Path, settings: list[str] | None, output_dir: str | None) -> "Recipe":
    """The recipe; an unreadable file is refused before anything heavy is imported."""
    from .recipes.config.yaml_file import read_yaml

    read_yaml(recipe)
    from .console import quieten_libraries
    from .recipes import load_recipe

    quieten_libraries()
    return load_recipe(recipe, settings=settings or (), output_dir=output_dir)


@app.command("recipes")
def list_recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe.")] = None,
) -> None:
    """List the recipes that come with the package, or print one."""
    from .recipes.catalogue import description, library, library_recipe

    if name is not None:
        typer.echo(library_recipe(name), nl=False)
        return
    for each, text in library().items():
        typer.echo(f"{each}: {description(text)}")


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="The recipe to write.")] = Path("recipe.yaml"),
    task: Annotated[str, typer.Option(help="The kind of model.")] = "classification",
    teacher: Annotated[str, typer.Option(help="Folder or hub name.")] = "path/to/teacher",
    train: Annotated[str, typer.Option(help="Training data.")] = "train.csv",
    validation: Annotated[str | None, typer.Option(help="Validation data.")] = None,
    test: Annotated[str | None, typer.Option(help="Test data.")] = None,
    text: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    text_pair: Annotated[str | None, typer.Option(help="Column of the second text.")] = None,
    label: Annotated[str, typer.Option(help="Column of the label.")] = "label",
) -> None:
    """Write a commented starter recipe for your own files."""
    from .recipes.catalogue import write_starter

    values = {
        "task": task,
        "teacher": teacher,
        "train": train,
        "validation": validation,
        "test": test,
        "text": text,
        "text_pair": text_pair,
        "label": label,
    }
    write_starter(file, values)
    typer.echo(f"Wrote {file}. Next: attndistill doctor {file}")


@app.command()
def report(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR…", help="Folders of runs.")],
) -> None:
    """Print the tables of one run, or several runs side by side."""
    from .report import RunReport, print_report

    print_report(*[RunReport.read(folder) for folder in run_dirs])


@bench.command()
@_resumable("the CSV holds the cases measured so far")
def ops(
    device: Device = None,
    quick: Quick = False,
    only: Only = None,
    output: Output = None,
    commit: Commit = None,
) -> None:
    """A loss with its gradients: ours, dense autograd, torch.compile of it, TextBrewer."""
    _bench("ops", device, quick, only, output, commit)


@bench.command()
@_resumable("the CSV holds the cases measured so far")
def step(
    device: Device = None,
    quick: Quick = False,
    only: Only = None,
    output: Output = None,
    commit: Commit = None,
) -> None:
    """Training steps: logits only, with attention, and the textbook's output_attentions."""
    _bench("step", device, quick, only, output, commit)


def _bench(
    benchmark: str,
    device: str | None,
    quick: bool,
    only: list[str] | None,
    output: Path | None,
    commit: str | None,
) -> None:
    from .bench.commands import bench as measure

    complete = measure(
        benchmark, device=device, quick=quick, only=only or (), output=output, commit=commit
    )
    if not complete:
        raise typer.Exit(FAILED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 done, 1 failed while running, 2 the input is wrong, 130 interrupted.
    """
    try:
        app(args=None if argv is None else list(argv), prog_name="attndistill")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    except InputError as error:
        return _fail(str(error), WRONG_INPUT)
    except ObjectiveError as error:
        return _fail(str(error), FAILED)
    except _Interrupted as stop:
        sys.stderr.write("\n")
        return _fail(f"interrupted; {stop}", INTERRUPTED)
    except Exception as error:
        sys.stderr.write(traceback.format_exc())
        reason = str(error).strip().splitlines() or ["no message"]
        return _fail(f"failed while running: {type(error).__name__}: {reason[0]}", FAILED)
    return DONE


def _fail(message: str, code: int) -> int:
    Console(stderr=True, soft_wrap=True).print(
        readable(f"attndistill: {message}"), markup=False, highlight=False
    )
    return code
