"""Students with other heads than their teacher's, and relations, through the command line."""

import json
from unittest import mock

import pytest
import torch
from recipes.test_language_runs import COUNTING, recipe_of, texts, write_lines
from tasks.language import make_word_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, pipeline
from transformers.models.llama import modeling_llama

from attndistill.cli import main
from attndistill.recipes.build import dry_step, new_student
from attndistill.recipes.config.recipe import load_recipe
from attndistill.recipes.setup import prepare

NARROW = {"hidden_size": 24, "intermediate_size": 24, "num_hidden_layers": 2}


@pytest.fixture
def llama(workplace):
    """A recipe for a Llama of 8 query heads in 4 groups."""
    torch.manual_seed(0)
    tokenizer = make_word_tokenizer(COUNTING)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=4,
        hidden_size=32,
        head_dim=4,
        intermediate_size=40,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    data = {"train": write_lines(workplace.own / "train.txt", texts(0, 80)), "max_length": 12}
    recipe = recipe_of(workplace, "causal-lm", str(workplace.own / "teacher"), data, max_steps=4)
    return recipe


def bert(workplace):
    recipe = workplace.recipe
    recipe["training"] |= {"max_steps": 4}
    return recipe


def report_of(workplace, recipe):
    assert main(["doctor", str(workplace.write(recipe))]) == 0
    assert main(["run", str(workplace.write(recipe))]) == 0
    report = json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))
    assert all(r["gradient_norm"] > 0 for r in report["training"]["first_step"].values())
    return report


# Student heads: fewer query heads and groups, one head alone, and a number that divides nothing.
@pytest.mark.parametrize(
    ("heads", "groups", "matching"),
    [(4, 2, "average"), (4, 4, "average"), (2, 1, "relation"), (3, 3, "relation")],
)
def test_a_grouped_query_student_with_fewer_heads(workplace, llama, heads, groups, matching):
    width = {"num_attention_heads": heads, "num_key_value_heads": groups, "head_dim": 4}
    llama["student"] = {"config": {**NARROW, **width}}
    llama["objective"] = {"task": {}, "attention": {"heads": matching}}
    report = report_of(workplace, llama)
    assert report["recipe"]["objective"]["attention"]["heads"] == matching
    assert len(report["fidelity"]) == 2
    folder = workplace.own / "run" / "student"
    student = AutoModelForCausalLM.from_pretrained(folder)
    assert student.config.num_attention_heads == heads
    assert student.config.num_key_value_heads == groups
    assert pipeline("text-generation", model=str(folder))("a b", max_new_tokens=1)


@pytest.mark.parametrize(
    ("changes", "term", "message"),
    [
        ({"num_attention_heads": 4}, {}, "set heads to average or relation"),
        ({"num_attention_heads": 3}, {"heads": "average"}, "use heads: relation"),
        (
            {"num_attention_heads": 4},
            {"heads": "relation", "relation_heads": 5},
            "relation_heads 5 does not divide",
        ),
        ({}, {"relation_heads": 2}, "relation_heads belongs to heads: relation"),
        # Transformers would say so when the trained student is saved.
        ({"num_attention_heads": 5}, {"heads": "relation"}, "not a multiple of the number of"),
    ],
)
def test_heads_that_do_not_fit_are_refused(workplace, llama, capsys, changes, term, message):
    if changes:
        changes = {**changes, "num_key_value_heads": changes["num_attention_heads"], "head_dim": 4}
    llama["student"] = {"config": {**NARROW, **changes}}
    llama["objective"] = {"attention": term}
    assert main(["doctor", str(workplace.write(llama))]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("relations", [["query"], ["key", "value"], ["query", "key", "value"]])
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_relations_of_a_narrower_student(workplace, llama, family, relations):
    recipe = llama if family == "llama" else bert(workplace)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    recipe["student"] = {"config": {**NARROW, **(heads if family == "llama" else {})}}
    if family == "bert":
        recipe["student"]["config"]["num_attention_heads"] = 2
    recipe["objective"] = {"relation": {"relations": relations, "layers": [[1, 2]]}}
    report = report_of(workplace, recipe)
    assert list(report["training"]["first_step"]) == ["relation"]
    stack = "decoder" if family == "llama" else "encoder"
    assert report["layer_map"] == {f"{stack} self-attention": [[1, 2]]}


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_relation_term_is_the_formula_of_the_paper(workplace, llama, family):
    """KL(softmax(Kₜ Kₜᵀ/√d) ‖ softmax(Kₛ Kₛᵀ/√d)), heads concatenated and cut into 2, by hand."""
    recipe = llama if family == "llama" else bert(workplace)
    recipe["objective"] = {
        "relation": {"relations": ["key"], "relation_heads": 2, "layers": [[0, 1]]}
    }
    recipe["student"] = {"keep_layers": [0, 2]}
    loaded = load_recipe(workplace.write(recipe))
    prepared = prepare(loaded)
    student = new_student(loaded, prepared).model
    batch = prepared.first_batch(4)
    reading = dry_step(loaded, prepared, student, batch)["relation"]
    rows = batch["attention_mask"].bool()
    keys = [
        _keys(model.eval().double(), batch, layer)
        for model, layer in ((student, 0), (prepared.teacher, 1))
    ]
    visible = rows[:, None, None]
    if family == "llama":
        visible = visible & torch.ones(rows.shape[1], rows.shape[1], dtype=torch.bool).tril()
    log_q, log_p = (
        (k @ k.mT * k.shape[-1] ** -0.5).masked_fill(~visible, -torch.inf).log_softmax(-1)
        for k in keys
    )
    kl = torch.where(visible, log_p.exp() * (log_p - log_q), 0.0).sum(-1)
    expected = kl.mean(1)[rows].mean()
    # docs/engine.md, section 2: with errors of some 10 eps (1e-6) in scores of about 1, and gaps of
    # about √(2 KL) between log-probabilities, the value is off by 2δ / gap.
    rounding = 2 * 1e-6 / (2 * float(expected)) ** 0.5
    assert reading.value == pytest.approx(float(expected), rel=rounding)


def _keys(model, batch, layer):
    """The keys [B, 2, N, D] of a layer, as the model's own modules make them."""
    found = []
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    rotate = modeling_llama.apply_rotary_pos_emb

    def heard(*args, **options):
        rotated = rotate(*args, **options)
        found.append(rotated[1])
        return rotated

    with torch.no_grad(), mock.patch.object(modeling_llama, "apply_rotary_pos_emb", heard):
        if not hasattr(model.base_model, "encoder"):
            model(**inputs)
            keys = found[layer].transpose(1, 2).flatten(2)
        else:
            states = model(**inputs, output_hidden_states=True).hidden_states[layer]
            keys = model.base_model.encoder.layer[layer].attention.self.key(states)
    return keys.unflatten(-1, (2, -1)).transpose(1, 2)
