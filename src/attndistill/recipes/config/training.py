"""Training arguments of a recipe: Transformers' own names, checked, with the defaults spelt out."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

import torch
from transformers import TrainerCallback

from ...choices import one_of
from ...errors import InputError
from ...reading import LENIENT, as_mapping, join, refuse_unknown, to_plain
from ...tasks import Task
from ...training import DistillationArguments, EarlyStopping
from .argument_rules import EARLY_STOPPING, ELSEWHERE, SPELT_OUT, check_range


def read_training(
    raw: Any, path: str, task: Task, terms: Sequence[str], *, streaming: bool = False
) -> dict[str, Any]:
    """Check the student's training arguments and fill in the recipe's defaults.

    Evaluation and saving happen every epoch (for a stream four times in all) unless set otherwise,
    the newest checkpoint is kept (and the best one), and ``load_best_model_at_end`` goes by the
    task's first metric, where it logs any, else by the task term, else by the objective. With
    ``early_stopping_patience`` training stops after that many evaluations in which that value did
    not improve by more than ``early_stopping_threshold`` (0).
    """
    selection = _selection(task, terms)
    refused = {**ELSEWHERE, "seed": "set seed at the top of the recipe"}
    given = _read(raw, path, selection, refused=refused)
    if streaming:
        given = _of_stream(given, path)
    eval_strategy = given.get("eval_strategy", "epoch")
    filled = {
        "eval_strategy": eval_strategy,
        "save_strategy": eval_strategy,
        "save_total_limit": 1,
        **({"remove_unused_columns": False} if task.raw_columns else {}),
        **given,
    }
    if "eval_steps" in filled:
        filled.setdefault("save_steps", filled["eval_steps"])
    _fill_selection(filled, selection, path)
    _try(filled, path)
    return filled


def read_teacher_training(raw: Any, path: str, task: Task, seed: int) -> dict[str, Any]:
    """Check the teacher's training arguments; only its final weights are kept by default."""
    selection = _selection(task, terms=())
    given = _read(raw, path, selection, refused=ELSEWHERE)
    best = "epoch" if given.get("load_best_model_at_end") else "no"
    filled = {
        "eval_strategy": best,
        "save_strategy": best,
        "seed": seed,
        **({"remove_unused_columns": False} if task.raw_columns else {}),
        **given,
    }
    _fill_selection(filled, selection, path)
    _try(filled, path)
    return filled


def training_arguments(settings: Mapping[str, Any], output_dir: str) -> DistillationArguments:
    """The arguments object for checked settings, with a progress bar whatever the log level."""
    quiet: dict[str, Any] = {
        "disable_tqdm": False,
        "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    if early_stopping(settings):
        quiet["restore_callback_states_from_checkpoint"] = True
    own = {name: value for name, value in settings.items() if name not in EARLY_STOPPING}
    return DistillationArguments(output_dir=output_dir, **{**quiet, **own})


def early_stopping(settings: Mapping[str, Any]) -> list[TrainerCallback]:
    """The callback that checked settings ask for, if any."""
    given = {name: settings[name] for name in EARLY_STOPPING if name in settings}
    return [EarlyStopping(**given)] if given else []


def _read(
    raw: Any, path: str, selection: Mapping[str, bool], refused: Mapping[str, str]
) -> dict[str, Any]:
    settings = as_mapping(raw, path)
    known = {field.name: field for field in fields(DistillationArguments) if field.init}
    refuse_unknown(settings, [*known, *EARLY_STOPPING], path)
    hints = get_type_hints(DistillationArguments) | EARLY_STOPPING
    spelt_out = {name: to_plain(known[name].default) for name in SPELT_OUT}
    checked: dict[str, Any] = {}
    for name, value in (spelt_out | settings).items():
        where = join(path, name)
        if refused.get(name):
            raise InputError(f"{where} does not belong here: {refused[name]}")
        choices = known[name].metadata.get("choices") if name in known else None
        if name == "metric_for_best_model":
            choices, value = list(selection), str(value).removeprefix("eval_")
        if choices and value is not None:
            checked[name] = one_of(list(choices), value, where)
        else:
            checked[name] = to_plain(LENIENT.value(hints[name], value, where))
            check_range(name, checked[name], where)
    return checked


def _of_stream(given: dict[str, Any], path: str) -> dict[str, Any]:
    """A stream has no length: nothing may go by epochs or by the rows' lengths."""
    steps = given.get("max_steps", -1)
    if steps < 1:
        raise InputError(f"{path}.max_steps is needed with data.streaming: a stream has no epochs")
    if given["train_sampling_strategy"] == "group_by_length":
        raise InputError(
            f"{path}.train_sampling_strategy: leave it out, a stream keeps its own order"
        )
    if given.get("eval_strategy") is None:
        return {"eval_strategy": "steps", "eval_steps": max(1, steps // 4), **given}
    return given


def _selection(task: Task, terms: Sequence[str]) -> dict[str, bool]:
    """What the best checkpoint may go by, and whether higher is better; the first by default."""
    losses = dict.fromkeys([f"loss_{term}" for term in terms], False)
    of_task = {name: losses[name] for name in ("loss_task",) if name in losses}
    return {**task.selection, **of_task, "loss": False, **losses}


def _fill_selection(settings: dict[str, Any], selection: Mapping[str, bool], path: str) -> None:
    """Set metric and direction: Transformers would guess the direction from the name's ending."""
    if settings.get("load_best_model_at_end"):
        if settings["eval_strategy"] == "no":
            raise InputError(f"{path}.load_best_model_at_end needs an eval_strategy other than no")
        name = settings.setdefault("metric_for_best_model", next(iter(selection)))
        settings.setdefault("greater_is_better", selection[name])
    stopping = next((name for name in EARLY_STOPPING if name in settings), None)
    if stopping is None:
        return
    if not settings.get("load_best_model_at_end"):
        raise InputError(
            f"{path}.{stopping} needs load_best_model_at_end: true, so that the best checkpoint is "
            "kept and not the last one"
        )
    if "early_stopping_patience" not in settings:
        raise InputError(f"{path}.{stopping} needs early_stopping_patience as well")


def _try(settings: Mapping[str, Any], path: str) -> None:
    """Let Transformers check that the arguments are consistent."""
    try:
        training_arguments(settings, output_dir="unused")
    except (ValueError, TypeError, NotImplementedError, ImportError, OSError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
