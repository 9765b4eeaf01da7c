"""Packing leaks nothing: logits, attention and losses are those of the texts one by one."""

from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from tasks.language import make_decoder, make_word_tokenizer

from attndistill import AttentionTerm, Distiller, LogitsTerm, Objective, RelationTerm, TaskTerm
from attndistill.capture import capture
from attndistill.capture.forward import run_model, run_teacher
from attndistill.tasks import CausalLM, ChatColumns, PromptColumns

WORDS = [*"abcdefghij", "user", "assistant", ":"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
RAW = CausalLM(max_length=8, packing=True)
PROMPTS = CausalLM(columns=PromptColumns(prompt="given", completion="wanted"), packing=True)
CHATS = CausalLM(columns=ChatColumns(messages="chat"), packing=True)
ROWS = {
    RAW: [{"text": "a b c d"}, {"text": "e f"}, {"text": "f g h i j a b c d e"}],
    PROMPTS: [{"given": "a b", "wanted": "c"}, {"given": "d", "wanted": "e f g h"}],
    CHATS: [
        {
            "chat": [
                {"role": "user", "content": said},
                {"role": "assistant", "content": answer},
            ]
        }
        for said, answer in (("a b", "c"), ("d", "e f g"), ("h", "i"))
    ],
}


@pytest.fixture(scope="module")
def tokenizer():
    return make_word_tokenizer(WORDS, pad_token="<unk>", chat_template=TEMPLATE)


def split_of(task, tokenizer):
    table = task.read({"train": Dataset.from_list(ROWS[task])})["train"]
    return list(task.encode(table, None, tokenizer, training=True).rows)


def alone(row):
    return {name: torch.tensor([values]) for name, values in row.items()}


def places(rows):
    """The part of the packed row that each text is."""
    start = 0
    for row in rows:
        yield slice(start, start + len(row["input_ids"]))
        start += len(row["input_ids"])


@pytest.mark.parametrize("task", ROWS, ids=["raw", "prompts", "chats"])
@pytest.mark.parametrize("side", ["student", "teacher"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_records_and_logits_are_those_of_the_texts_alone(
    tokenizer, family, implementation, side, task
):
    model = make_decoder(family, len(tokenizer), layers=2)
    model.set_attn_implementation(implementation)
    run = run_teacher if side == "teacher" else run_model
    rows = split_of(task, tokenizer)
    batch = task.collator(tokenizer, model)(rows)
    # Nothing is told of lengths, as for flash kernels: positions alone tell texts apart.
    assert set(batch) == {"input_ids", "labels", "position_ids"}
    with capture(model.train(), values=True) as records:
        logits = run(model, batch).logits
    packed = [(record.attention_probs(), record.value) for record in records]
    assert len(packed) == 2
    for row, place in zip(rows, places(rows), strict=True):
        with capture(model, values=True) as records:
            expected = run(model, alone(row)).logits
        torch.testing.assert_close(logits[:, place], expected, rtol=0, atol=2e-5)
        for record, (probs, values) in zip(records, packed, strict=True):
            own = record.attention_probs()
            torch.testing.assert_close(probs[:, :, place, place], own, rtol=0, atol=1e-6)
            torch.testing.assert_close(values[:, :, place], record.value, rtol=0, atol=1e-5)
            # The rest of the row is none of this text's business, exactly.
            others = probs[:, :, place].clone()
            others[..., place] = 0
            assert not others.any()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_with_a_cache_they_would_leak(tokenizer, family):
    """What the tests above would show if it were forgotten."""
    model = make_decoder(family, len(tokenizer), layers=2).train()
    rows = split_of(RAW, tokenizer)
    batch = RAW.collator(tokenizer, model)(rows)
    leaking = model(**batch, use_cache=True).logits
    kept_apart = run_model(model, batch).logits
    second = list(places(rows))[1]
    assert (leaking[:, second] - kept_apart[:, second]).abs().max() > 1e-2


@pytest.mark.parametrize("task", ROWS, ids=["raw", "prompts", "chats"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_packing_changes_no_loss_and_no_gradient(tokenizer, family, task):
    terms = {
        "task": TaskTerm(),
        "logits": LogitsTerm(temperature=2.0),
        "attention": AttentionTerm(),
        "relation": RelationTerm(),
    }
    student = make_decoder(family, len(tokenizer), layers=2, seed=1)
    teacher = make_decoder(family, len(tokenizer), layers=3, seed=2)
    distiller = Distiller(student, teacher, objective=Objective(terms))
    rows = split_of(task, tokenizer)
    padded = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
    found = []
    for task_of_batch, rows_of_batch in ((task, rows), (replace(task, packing=False), padded)):
        batch = task_of_batch.collator(tokenizer, student)(rows_of_batch)
        student.zero_grad()
        loss, each = distiller.loss_and_terms(batch)
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in student.parameters()])
        found.append((each, gradients))
    (packed, gradients), (expected, others) = found
    for name in terms:
        torch.testing.assert_close(packed[name], expected[name], rtol=2e-5, atol=0)
    torch.testing.assert_close(gradients, others, rtol=0, atol=1e-5 * float(others.abs().max()))
