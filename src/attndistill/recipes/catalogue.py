"""The recipes that come with the package, and a starter for your own."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from ..errors import InputError, did_you_mean

STARTER = """\
# A starter: distil your fine-tuned text classifier into one of half its depth.
# Check it with `attndistill doctor`, then `attndistill run`; `--set a.b=value` overrides a line.
task: {task}

teacher:
  model: {teacher}            # a folder written by save_pretrained, or a name on the model hub
  # train: {{num_train_epochs: 2, learning_rate: 5.0e-5}}   # only if it still needs fine-tuning

# One of three:
student:
  keep_layers: [1, 3, 5]      # these layers of the teacher, numbered from 0 (for a teacher of 6)
  # config: {{num_hidden_layers: 2, hidden_size: 192, intermediate_size: 768}}   # fresh weights
  # model: path/to/student    # a model of your own with the teacher's tokenizer and labels

data:
  train: {train}              # CSV, TSV, JSON lines or Parquet; or a folder of save_to_disk
  validation: {validation}    # null: a tenth of train is set aside
  test: {test}                # null: likewise; the report is about these rows only
  columns: {{text: {text}, text_pair: {text_pair}, label: {label}}}
  max_length: 128             # tokens

objective:                    # remove a line to leave that term out
                              # attention kinds: kl, reverse_kl, js, mse, cosine, score_mse
  task: {{weight: 1.0}}
  logits: {{weight: 1.0, temperature: 2.0}}
  attention: {{weight: 1.0, kind: kl, layers: uniform}}

training:                     # Transformers' TrainingArguments by their own names
  num_train_epochs: 3
  learning_rate: 1.0e-4
  per_device_train_batch_size: 32
  load_best_model_at_end: true
  # early_stopping_patience: 2  # stop after so many evaluations without a better one

seed: 42
# watts: 65                   # what the device draws; the energy is estimated if there is no meter
"""


def library() -> dict[str, str]:
    """Name → text of every recipe that comes with the package."""
    folder = files(__package__) / "library"
    recipes = {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    return dict(sorted(recipes.items()))


def library_recipe(name: str) -> str:
    """The text of one recipe.

    Raises:
        InputError: there is no recipe of this name.
    """
    recipes = library()
    wanted = name.removesuffix(".yaml")
    if wanted not in recipes:
        hint = did_you_mean(wanted, recipes)
        raise InputError(f"there is no recipe {name!r}{hint}; there are {', '.join(recipes)}")
    return recipes[wanted]


def description(text: str) -> str:
    """A recipe's first line, without its comment sign."""
    return text.splitlines()[0].removeprefix("#").strip()


def write_starter(file: Path, values: Mapping[str, str | None]) -> None:
    """Write the commented starter recipe with the user's files and columns filled in.

    Args:
        file: where to; never overwritten.
        values: task, teacher, train, validation, test, text, text_pair and label.

    Raises:
        InputError: there is no such task, or the file exists or cannot be written.
    """
    # Listing recipes needs no models: only here is Transformers loaded.
    from ..tasks import task_class

    task_class(values["task"])
    text = STARTER.format(
        **{name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    )
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise InputError(f"{file} exists and is not overwritten: name another file") from error
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error
