"""Write docs/support.md: capture measured against eager attention, family by family."""

import sys
import warnings
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from capture.exactness import Group, largest_errors, model_and_batch  # noqa: E402
from capture.families import FAMILIES, REFUSED, Family  # noqa: E402

from attndistill.capture import attention_layers, capture  # noqa: E402
from attndistill.errors import InputError  # noqa: E402

PAGE = """# Supported models

Capture records the query and key of every attention layer of a model, and everything else that
determines their softmax. For the families on this page, the attention probabilities recomputed from
such records were compared with the maps that the model itself returns under eager attention. Each
model is tiny, built from its configuration with random weights. Inputs are of equal length, padded
on the right and padded on the left, under every backend listed. The tests
(`tests/capture/test_families.py`) require an error of at most 1e-6, and gradients of all weights
equal to those under eager attention.

The largest error is the largest difference between probabilities over all layers, heads, real
queries, paddings and backends, in fp32 on a CPU with torch {torch} and transformers {transformers}.
Written by `make docs`.

| family | class checked | self | cross | causal | padding | backends | largest error | notes |
|---|---|---|---|---|---|---|---|---|
{supported}

Other models that compute attention through Transformers' `AttentionInterface` are captured by the
same code, but are not checked here. FlashAttention needs a GPU and is not checked here either; it
is called with the same arguments as SDPA. "By hooks" means that the family computes its scores
itself and that they are assembled from what its modules compute. Such a family runs its own
attention code, whichever backend is requested.

## Refused

These models stop with a message before anything is trained.

| family | reason |
|---|---|
{refused}
"""


def main() -> None:
    """Measure every family and write the page."""
    warnings.simplefilter("ignore")
    page = PAGE.format(
        torch=torch.__version__.split("+")[0],
        transformers=transformers.__version__,
        supported="\n".join(supported_row(family) for family in FAMILIES),
        refused="\n".join(f"| {name} | {refusal(name)} |" for name in REFUSED),
    )
    (ROOT / "docs" / "support.md").write_text(page, encoding="utf-8")


def supported_row(family: Family) -> str:
    """One row of the table, measured."""
    runs = [
        largest_errors(family, padding, implementation)
        for implementation in family.implementations
        for padding in family.paddings
    ]
    groups = set(runs[0])
    paddings = [padding for padding in family.paddings if padding != "none"]
    cells = [
        family.name,
        f"`{family.model.__name__}`",
        stacks(groups, "self"),
        stacks(groups, "cross"),
        causal_stacks(family),
        ", ".join(paddings) or "–",
        ", ".join(family.implementations),
        f"{max(max(errors.values()) for errors in runs):.0e}".replace("0e+00", "0"),
        family.note,
    ]
    return f"| {' | '.join(cells)} |"


def stacks(groups: set[Group], kind: str) -> str:
    """The stacks that have attention of this kind."""
    return ", ".join(sorted(stack for stack, own in groups if own == kind)) or "–"


def causal_stacks(family: Family) -> str:
    """The stacks whose queries see no later key."""
    model, batch = model_and_batch(family, "none")
    with torch.no_grad(), capture(model) as records:
        model(**batch)
    causal = {
        record.stack
        for record in records
        if record.kind == "self" and not record.attention_probs().triu(1).any()
    }
    return ", ".join(sorted(causal)) or "–"


def refusal(name: str) -> str:
    """The message that a refused model stops with."""
    _, model, config = REFUSED[name]
    try:
        attention_layers(model(config()))
    except InputError as error:
        return str(error)
    raise AssertionError(f"{name} is captured: move it to FAMILIES")


if __name__ == "__main__":
    main()
