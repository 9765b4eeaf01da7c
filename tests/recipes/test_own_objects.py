"""A metric and a collator of the user's own, for tasks that measure in training and after it."""

import numpy as np
import pytest
import torch
from recipes.test_language_runs import COUNTING, recipe_of, summary_data, texts, write_lines
from tasks.language import make_decoder, make_seq2seq, make_word_tokenizer

from attndistill.metrics import Assessment, mean_score
from attndistill.recipes.config.recipe import load_recipe
from attndistill.recipes.running import run


def padded(rows):
    """A collator that pads to 20 tokens with token 2, and counts its calls."""
    padded.calls += 1
    fillers = {"input_ids": 2, "attention_mask": 0, "labels": -100}
    return {
        name: torch.tensor([row[name] + [filler] * (20 - len(row[name])) for row in rows])
        for name, filler in fillers.items()
    }


@pytest.fixture
def decoder(workplace):
    tokenizer = make_word_tokenizer(COUNTING)
    make_decoder("gpt2", len(tokenizer), layers=3).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    data = {
        split: write_lines(workplace.own / f"{split}.txt", texts(seed, count))
        for split, seed, count in (("train", 0, 40), ("validation", 1, 12), ("test", 2, 12))
    }
    training = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 2}
    return recipe_of(
        workplace,
        "causal-lm",
        str(workplace.own / "teacher"),
        data | {"max_length": 12},
        load_best_model_at_end=True,
        **training,
    )


def test_a_language_model(workplace, decoder):
    def worst_token(losses, answers, labels, row_of_token):
        assert losses.shape == answers.shape == labels.shape == row_of_token.shape
        worst = np.array([losses[row_of_token == row].max() for row in range(12)])
        score = mean_score(worst, unit="number", higher_is_better=False)
        return Assessment(scores={"worst token": score}, truth=labels)

    padded.calls = 0
    recipe = load_recipe(workplace.write(decoder), metric=worst_token, collate=padded)
    # Nothing of its own is logged while it trains: the best checkpoint goes by the task's loss.
    assert recipe.training["metric_for_best_model"] == "loss_task"
    report = run(recipe)
    quality = report.student.quality
    assert (quality.deciding, quality.rows) == ("worst token", 12)
    assert quality.metrics["worst token"].value > 0.1
    assert padded.calls >= 4
    said = " ".join(report.notes)
    assert "The metric is the caller's own: worst_token." in said
    assert "The collate is the caller's own: padded." in said


def test_a_collator_changes_no_loss_by_its_padding(workplace, decoder):
    """More padding, with another token, gives the losses of the task's own collator."""
    decoder["training"]["lr_scheduler_type"] = "constant"
    padded.calls = 0
    found = []
    for folder, collate in (("own", padded), ("default", None)):
        decoder["output_dir"] = str(workplace.own / folder)
        history = run(load_recipe(workplace.write(decoder), collate=collate)).training.history
        found.append([row["eval_loss"] for row in history if "eval_loss" in row])
    assert len(found[0]) == 2
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_summarizer(workplace):
    def first_word_right(summaries, references):
        pairs = zip(summaries, references, strict=True)
        right = np.array([text.split()[:1] == wanted.split()[:1] for text, wanted in pairs])
        return Assessment(scores={"first word": mean_score(right)}, truth=np.array(references))

    tokenizer = make_word_tokenizer(COUNTING, pad_token="<unk>")
    make_seq2seq("bart", len(tokenizer), layers=2).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    recipe = recipe_of(
        workplace, "summarization", str(workplace.own / "teacher"), summary_data(workplace, 80)
    )
    recipe["student"] = {"keep_layers": {"decoder": [0]}}
    recipe["training"] |= {"num_train_epochs": 4, "learning_rate": 5e-3}
    report = run(load_recipe(workplace.write(recipe), metric=first_word_right))
    quality = report.student.quality
    assert list(quality.metrics) == ["first word"]
    assert quality.decisive.value > 0.4
